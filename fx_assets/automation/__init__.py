"""Sensors and schedules: decisions that must be recorded. Data flow itself belongs to the assets' conditions."""

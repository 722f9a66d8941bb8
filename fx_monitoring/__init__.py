"""Dagster code location for what follows a deployment: predictions, drift, quality, alerts, metrics."""

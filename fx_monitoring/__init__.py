"""Dagster code location for what follows a deployment: the service's predictions, and their drift."""

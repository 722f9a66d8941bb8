"""Dagster resources: storage, MLflow, Feast, the deployment service. Each is built once, in definitions.py."""

"""Logs and traces of Dagster's side: which run and partition a line belongs to."""

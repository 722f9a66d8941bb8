"""Backfills: which partitions of a range are missing or outdated, and the few runs that make them."""

"""Service levels: how many of the runs that the platform starts by itself are good, against what was promised.

runs.py judges one run, budget.py counts, store.py remembers, collect.py reads Dagster's run records.
"""

"""From gold tables to a deployed model: training set, training, evaluation, gates, registry, bundle, rollout.

Each module but assets.py is free of Dagster; assets.py wires one group of assets for each entry of models.yaml.
"""

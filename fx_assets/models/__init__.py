"""From gold tables to a deployed model: training set, study, training, evaluation, gates, registry, bundle, rollout.

assets/ and checks.py alone know Dagster: they wire one group of assets for each entry of models.yaml.
"""

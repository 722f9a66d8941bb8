"""One group of assets for each entry of models.yaml, partitioned by session:

training_set -> model_study -> trained_model -> model_evaluation -> promotion_decision -> promoted_model
-> model_bundle -> deployment

The model of session S sees only rows decided before S began, so that backfilling a range is a walk-forward study.
A rejected model ends at `promotion_decision`, keeps its report, and leaves champion and service alone.
"""

from collections.abc import Sequence

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.models.assets import judging, release, search, training, walk_forward
from fx_assets.models.assets.shared import Group
from fx_assets.tables import Tables


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The asset groups of all models."""
    found: list[dg.AssetsDefinition] = []
    for name in configuration.models.models:
        group = Group.of(tables, configuration, name)
        found += [*training.build(group), *judging.build(group), *release.build(group), *walk_forward.build(group)]
        found += search.build(group)
    return found

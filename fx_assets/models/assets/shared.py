"""What the assets of one model have in common: their names, options, checks and inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration, Model
from fx_assets.freshness.policies import weekend
from fx_assets.models import training_set
from fx_assets.tables import CODE_VERSION, OWNER, Tables


@dataclass(frozen=True)
class Group:
    """One entry of models.yaml while its assets are being defined.

    features: the names of the model's inputs, in order. sessions: all session keys, sorted, as of the call.
    """

    tables: Tables
    configuration: Configuration
    model: str
    entry: Model
    features: list[str]
    sessions: Callable[[], list[str]]

    @classmethod
    def of(cls, tables: Tables, configuration: Configuration, model: str) -> "Group":
        """The group of one model."""
        keys = list(tables.partitions.get_partition_keys()) if configuration.instruments.sessions.end else None

        def sessions() -> list[str]:
            return keys or list(tables.partitions.get_partition_keys())

        names = training_set.features(configuration, model)
        return cls(tables, configuration, model, configuration.models.models[model], names, sessions)

    def common(self, name: str, kinds: set[str], description: str, **extra: Any) -> dict[str, Any]:
        """Options of one asset of the group; `extra` adds to them or replaces them."""
        return {
            "key": [self.model, name],
            "group_name": self.configuration.group(self.model),
            "description": description,
            "owners": [OWNER],
            "tags": {"layer": "model", "model": self.model},
            "kinds": kinds,
            "code_version": CODE_VERSION,
            "partitions_def": self.tables.partitions,
            # One session a run: each logs its own MLflow run and may end in a rollout of its own.
            "backfill_policy": dg.BackfillPolicy.multi_run(1),
            "freshness_policy": weekend,
            "io_manager_key": "records",
            **extra,
        }

    def checks(self, asset: str, *checks: tuple[str, str, bool]) -> dict[str, Any]:
        """Checks made by the asset itself: (name, description, whether a failure stops what comes after)."""
        return {
            "check_specs": [
                dg.AssetCheckSpec(name, asset=[self.model, asset], description=description, blocking=blocking)
                for name, description, blocking in checks
            ]
        }

    def upstream(self, name: str) -> dg.AssetIn:
        """An asset of the group as an input."""
        return dg.AssetIn([self.model, name])

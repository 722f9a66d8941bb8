"""What the monitoring assets have in common: their group, owner, policies, and what their builders are given."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.freshness.policies import table_policy
from fx_assets.lake import Lake
from fx_assets.tables import CODE_VERSION, OWNER, transient
from fx_serving.client.home import Stores

GROUP = "monitoring"


@dataclass(frozen=True)
class Shared:
    """What every module's `build` and `jobs` are given."""

    partitions: dg.TimeWindowPartitionsDefinition
    configuration: Configuration
    stores: Stores
    lake: Lake

    @property
    def deployed(self) -> list[str]:
        """The models that the service answers with."""
        return [name for name, model in self.configuration.models.models.items() if model.deploy]

    def common(self, description: str, kinds: set[str], **extra: Any) -> dict[str, Any]:
        """Arguments of define_asset for an asset made with every session; `extra` adds to them or replaces them."""
        return {
            "partitions_def": self.partitions,
            "freshness_policy": table_policy(self.configuration.data.sla("monitoring")),
            **self.unpartitioned(description, kinds),
            **extra,
        }

    def unpartitioned(self, description: str, kinds: set[str], **extra: Any) -> dict[str, Any]:
        """As `common`, for an asset that is not made by session and has no freshness policy of its own."""
        return {
            "group_name": GROUP,
            "retry_policy": transient,
            "owners": [OWNER],
            "tags": {"layer": "monitoring"},
            "description": description,
            "kinds": kinds,
            "code_version": CODE_VERSION,
            **extra,
        }


def listed(lines: Iterable[str], otherwise: str = "none") -> dg.MetadataValue:
    """Lines of text as the Dagster UI shows them best, where a list is JSON: one as it is, several as bullets."""
    told = list(lines) or [otherwise]
    return dg.MetadataValue.text(told[0]) if len(told) == 1 else dg.MetadataValue.md("\n".join(f"- {t}" for t in told))

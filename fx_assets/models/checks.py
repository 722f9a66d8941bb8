"""Asset checks that stand beside their asset, because it is not made in every run."""

from collections.abc import Sequence

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.models import registry
from fx_assets.resources.home import HomeResource


def build(configuration: Configuration) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of all models."""
    return [_champion_check(model) for model in configuration.models.models]


def _champion_check(model: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=[model, "promoted_model"],
        name="champion_alias",
        description="The registry's champion is a version whose gates approved it.",
    )
    def champion_alias(home: HomeResource) -> dg.AssetCheckResult:
        client = registry.open_registry(home.stores.home)
        version = registry.version_with_alias(client, model, registry.CHAMPION)
        gates = registry.version_tags(client, model, version).get("gates") if version else None
        return dg.AssetCheckResult(passed=gates == "approved", metadata={"version": str(version), "gates": str(gates)})

    return champion_alias

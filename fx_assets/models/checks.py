"""Asset checks that stand beside their asset, because it is not made in every run.

They hold for the champion, which ages and can be moved while nothing is made: a schedule looks once a day as well.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.models import promotion, registry
from fx_assets.resources.home import HomeResource
from fx_serving.client.clock import now, to_iso

JOB = "champions"


def build(configuration: Configuration) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of all models."""
    return [check(model) for model in configuration.models.models for check in (_champion_check, _expiry_check)]


def build_job(checks: Sequence[dg.AssetChecksDefinition]) -> Any:
    """What evaluates the checks, whether or not anything was promoted. checks: as `build` gives them."""
    return dg.define_asset_job(
        JOB, selection=dg.AssetSelection.checks(*checks), description="Is each champion approved, and not too old?"
    )


def _champion(home: HomeResource, model: str) -> registry.VersionRecord | None:
    version = registry.version_with_alias(registry.open_registry(home.stores.home), model, registry.CHAMPION)
    return registry.record(home.stores, model, version) if version else None


def _champion_check(model: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=[model, "promoted_model"],
        name="champion_alias",
        description="The registry's champion is a version whose gates approved it, or what a person made of it.",
    )
    def champion_alias(home: HomeResource) -> dg.AssetCheckResult:
        found = _champion(home, model)
        version, gates = (found.version, found.gates) if found else (None, None)
        changes = [c for c in promotion.history(home.stores, model) if c.moves and c.outcome == "done"]
        # A model that never had a champion, or whose champion was retired, has none, and that is as it should be.
        recorded = (changes[-1].version or None) if changes else None
        by = changes[-1] if changes and recorded == version else None
        return dg.AssetCheckResult(
            passed=gates == "approved" or recorded == version,
            metadata={
                "version": str(version),
                "gates": str(gates),
                "actor": by.actor if by else "not on record",
                "reason": by.reason if by else "not on record",
            },
        )

    return champion_alias


def _expiry_check(model: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=[model, "promoted_model"],
        name="not_expired",
        description="The champion is not older than models.yaml allows (expires_days).",
    )
    def not_expired(home: HomeResource) -> dg.AssetCheckResult:
        found = _champion(home, model)
        expires = found.expires_at if found else None
        return dg.AssetCheckResult(
            passed=found is None or not found.expired(now()),
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "version": found.version if found else "none",
                "expires_at": to_iso(expires) if expires else "never",
                "remedy": f"Train a newer session of {model}.",
            },
        )

    return not_expired

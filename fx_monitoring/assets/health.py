"""quant_health and infrastructure_health: one colour for data, models and money, one for machine and programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec

from fx_assets.resources.home import HomeResource
from fx_assets.sessions import session_bounds
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.health.machine import machine_tiers
from fx_monitoring.health.quant import quant_tiers
from fx_monitoring.health.report import tier_table
from fx_monitoring.health.tiers import Health, verdict, write_health
from fx_serving.client.clock import now


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The two verdicts."""
    return [_infrastructure_health(shared), _quant_health(shared)]


def _infrastructure_health(shared: Shared) -> dg.AssetsDefinition:
    @define_asset(
        check_specs=[_spec("infrastructure_health", "Machine and programs are not RED.")],
        **shared.unpartitioned("CPU, memory, disk, GPU, and whether every program answers; of now.", {"python"}),
    )
    def infrastructure_health(context: dg.AssetExecutionContext, home: HomeResource):
        tiers = machine_tiers(home.stores, context.instance, load_monitoring().health)
        found = verdict(tiers, datetime.now(UTC))
        write_health(home.stores.infrastructure, found)
        return dg.MaterializeResult(metadata=_told(found), check_results=[_result(found)])

    return infrastructure_health


def _quant_health(shared: Shared) -> dg.AssetsDefinition:
    @define_asset(
        deps=["drift_report", "prediction_quality", "paper_trading", "infrastructure_health"],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[_spec("quant_health", "Data, models and money are not RED.")],
        **shared.common("GREEN, YELLOW or RED: drift, quality, money, data age, service, SLO, machine.", {"python"}),
    )
    def quant_health(context: dg.AssetExecutionContext, home: HomeResource):
        session, policy = context.partition_key, load_monitoring().health
        at = min(now(), session_bounds(session)[1])
        tiers = quant_tiers(home.stores, home.lake, shared.configuration, policy, session, at, datetime.now(UTC))
        found = verdict(tiers, at, session)
        write_health(home.stores.health, found)
        return dg.MaterializeResult(
            value=msgspec.to_builtins(found), metadata=_told(found), check_results=[_result(found)]
        )

    return quant_health


def _spec(asset: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec("not_red", asset=asset, description=description)


def _told(found: Health) -> dict[str, Any]:
    return {
        "status": found.status,
        "reasons": listed(found.reasons, "everything is well"),
        "tiers": dg.MetadataValue.md(tier_table(found)),
    }


def _result(found: Health) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="not_red",
        passed=found.status != "RED",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"status": found.status, "reasons": listed(found.reasons, "everything is well")},
    )

"""strategy/transaction_costs: what a month's trading cost, by instrument and hour, from the recorded bid and ask.

A month holds the sessions that start in it. Studies charge what their own rows cost; the months tell what trading
costs now (threshold_sweep and strategy_optimization charge the newest), and whether instruments.yaml is still right.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation.costs import RECORDED, cost_source
from fx_assets.freshness.policies import month_end
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import content_hash
from fx_assets.sessions import ROLLOVER_HOUR
from fx_assets.strategy import recorded, report
from fx_assets.tables import CODE_VERSION, OWNER, define_asset

# A configured spread may be off by this factor before the check says so.
TOLERATED = 2.0


def fx_months(configuration: Configuration) -> dg.MonthlyPartitionsDefinition:
    """Months of sessions, from the one of sessions.start; with sessions.end, up to the one of that session."""
    sessions = configuration.instruments.sessions
    # end_date must lie behind the last month's own end, which is 17:00 on the first of the next.
    end = None if sessions.end is None else pd.Timestamp(sessions.end) + pd.offsets.MonthBegin(1) + pd.Timedelta(days=1)
    return dg.MonthlyPartitionsDefinition(
        start_date=sessions.start.replace(day=1).isoformat(),
        end_date=None if end is None else str(end.date()),
        hour_offset=ROLLOVER_HOUR,
        timezone="America/New_York",
    )


def build(configuration: Configuration) -> dg.AssetsDefinition:
    """The asset, partitioned by month."""

    @define_asset(
        key=recorded.MONTHS.split("/"),
        group_name="strategy",
        description="Half spreads by instrument and New York hour, from a month's recorded bid and ask.",
        deps=[dg.AssetDep(["silver", "candles"], partition_mapping=dg.TimeWindowPartitionMapping())],
        partitions_def=fx_months(configuration),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        freshness_policy=month_end,
        owners=[OWNER],
        tags={"layer": "strategy"},
        kinds={"parquet"},
        code_version=CODE_VERSION,
        check_specs=[
            dg.AssetCheckSpec(
                "spreads_recorded",
                asset=recorded.MONTHS.split("/"),
                description="Every instrument has recorded bid and ask; for others the typical spread stands in.",
            ),
            dg.AssetCheckSpec(
                "typical_spread",
                asset=recorded.MONTHS.split("/"),
                description=f"The configured spread is within {TOLERATED:g} times of the recorded median.",
            ),
        ],
    )
    def transaction_costs(context: dg.AssetExecutionContext, home: HomeResource):
        month = context.partition_key
        candles = recorded.quotes(home.lake, *recorded.month_bounds(month))
        typical = recorded.typical_half_spreads(configuration, candles)
        table = recorded.cost_table(configuration, candles)
        home.lake.write(recorded.MONTHS, {month: table})
        assumed = sorted(table.loc[table["source"] != RECORDED, "instrument"].unique().tolist())
        wrong = wrong_spreads(table, typical)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(table)),
            metadata={
                "dagster/row_count": len(table),
                "cost_source": cost_source(table, table["instrument"].unique()),
                "candles": len(candles),
                "spreads": dg.MetadataValue.md(report.cost_summary(table, typical)),
                "by_hour": embed(lambda axes: report.draw_costs(axes, table)),
            },
            check_results=[
                _warning("spreads_recorded", not assumed, {"typical_spread_used_for": assumed or ["none"]}),
                _warning("typical_spread", not wrong, {"wrong": wrong or ["none"]}),
            ],
        )

    return transaction_costs


def wrong_spreads(table: pd.DataFrame, typical: Mapping[str, float]) -> list[str]:
    """What to mend in instruments.yaml: instruments whose configured spread is far from the recorded median."""
    found = []
    for name, own in table[table["source"] == RECORDED].groupby("instrument"):
        times = float(own["half_spread"].median()) / typical[str(name)]
        if not 1 / TOLERATED <= times <= TOLERATED:
            found.append(f"{name}: recorded spread is {times:.2f} times typical_spread. Correct instruments.yaml.")
    return found


def _warning(name: str, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

"""service_levels: the service levels as the sensor of that name last wrote them, as a table in the UI."""

from typing import Any

import dagster as dg

from fx_assets.resources.home import HomeResource
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.slo.budget import Level
from fx_monitoring.slo.store import read_levels

JOB = "service_levels"
NAME = "service_level_report"


def build(shared: Shared) -> list[dg.AssetsDefinition]:
    """The asset."""

    @define_asset(
        name=NAME,
        check_specs=[
            dg.AssetCheckSpec("budgets", asset=NAME, description="No error budget is used up, or about to be.")
        ],
        **shared.unpartitioned("How many of the runs are good, against what automation.yaml promises.", {"json"}),
    )
    def service_level_report(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        document = read_levels(home.stores)
        rows = document.rows if document else []
        bad = [level.name for level in rows if level.status in ("burning", "exhausted")]
        return dg.MaterializeResult(
            metadata={
                "at": document.at.isoformat() if document else "the sensor service_levels has not looked yet",
                "levels": dg.MetadataValue.md(level_table(rows)),
                "missed": dg.MetadataValue.md(missed_table(rows)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="budgets",
                    passed=not bad,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"bad": listed(bad)},
                )
            ],
        )

    return [service_level_report]


def jobs(shared: Shared) -> list[Any]:
    """The job that the clock asks for."""
    return [dg.define_asset_job(JOB, dg.AssetSelection.assets(NAME), description="The service levels as a table.")]


def level_table(rows: list[Level]) -> str:
    """The service levels as a Markdown table."""
    lines = ["| level | target | achieved | runs | days | budget left | burn 1 h | status |", "|" + " --- |" * 8]
    for level in rows:
        achieved, left, burn = level.achieved, level.budget_left, level.burn.get("1h")
        lines.append(
            f"| {level.name} | {level.target:.0%} | {'-' if achieved is None else f'{achieved:.2%}'} | {level.runs} "
            f"| {level.window_days} | {'-' if left is None else f'{left:.0%}'} "
            f"| {'-' if burn is None else f'{burn:.1f}'} | {level.status} |"
        )
    return "\n".join(lines)


def missed_table(rows: list[Level]) -> str:
    """The newest runs that were not good, as a Markdown table."""
    missed = sorted((entry for level in rows for entry in level.missed), key=lambda entry: entry.at, reverse=True)
    lines = ["| at (UTC) | row | job | run | why |", "|" + " --- |" * 5]
    lines += [
        f"| {entry.at:%Y-%m-%d %H:%M} | {entry.row} | {entry.job} | {entry.run_id[:8]} | {entry.why} |"
        for entry in missed[:20]
    ]
    return "\n".join(lines)

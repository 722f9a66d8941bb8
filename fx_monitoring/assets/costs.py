"""costs: what the last month cost, by asset and by model."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fx_assets.cost.ledger import read
from fx_assets.cost.summary import Cost, summed, total
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared

NAME = "costs"
JOB = "costs_monthly"
_SHOWN = 25


def build(shared: Shared) -> list[dg.AssetsDefinition]:
    """One asset; its metadata is the report."""

    @define_asset(
        name=NAME,
        **shared.unpartitioned("What the month before cost, by asset and model.", {"json"}),
    )
    def costs(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        last = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
        entries = list(read(shared.stores.home, last.replace(day=1), last))
        whole = total(entries)
        return dg.MaterializeResult(
            metadata={
                "month": f"{last:%Y-%m}",
                "steps": whole.steps,
                "cpu_hours": round(whole.cpu_s / 3600, 4),
                "rows": whole.rows or 0,
                "bytes_written": whole.size or 0,
                "by_asset": dg.MetadataValue.md(_table(summed(entries, "asset"))),
                "by_model": dg.MetadataValue.md(_table(summed(entries, "model", shared.configuration.models.models))),
            }
        )

    return [costs]


def jobs(_: Shared) -> list[Any]:
    """costs_monthly."""
    return [dg.define_asset_job(JOB, selection=[dg.AssetKey(NAME)], description="What the month before cost.")]


def _table(found: list[Cost]) -> str:
    rows = [
        f"| {c.name} | {c.steps:,} | {c.seconds:.1f} | {c.cpu_s:.1f} | {_said(c.rows)} | {_said(c.size)} |"
        for c in found
    ]
    head = ["| what | steps | seconds | CPU seconds | rows | bytes |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    return "\n".join([*head, *rows])


def _said(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"

"""database_copies: a verified copy of every SQLite file of the home, for the repair of damaged ones."""

from typing import Any

import dagster as dg

from fx_assets.runs.pools import DATABASE
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_serving.client import databases

NAME = "database_copies"
CHECK = "sound"
JOB = "verified_copies"


def build(shared: Shared) -> list[dg.AssetsDefinition]:
    """One asset for all files."""
    stores = shared.stores

    @define_asset(
        name=NAME,
        pool=DATABASE,
        check_specs=[
            dg.AssetCheckSpec(CHECK, asset=NAME, description="Every SQLite file is sound, and has a copy that is, too.")
        ],
        **shared.unpartitioned("Verified copies of the SQLite files below the home.", {"sqlite"}),
    )
    def database_copies(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        rows, problems = [], []
        for name in databases.DATABASES:
            try:
                made = databases.copy(stores, name)
            except databases.CopyError as error:  # the other files' copies are wanted all the same
                problems.append(str(error))
            else:
                if made is not None:
                    rows.append((name, made.name, made.stat().st_size))
            kept = databases.copies(stores, name)
            context.log.info(f"{name}: {len(kept)} copies")
        table = "\n".join(
            ["| file | new copy | bytes |", "| --- | --- | ---: |", *(f"| {n} | {c} | {b:,} |" for n, c, b in rows)]
        )
        return dg.MaterializeResult(
            metadata={"new": len(rows), "copies": dg.MetadataValue.md(table)},
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not problems,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={"problems": listed(problems)},
                )
            ],
        )

    return [database_copies]


def jobs(_: Shared) -> list[Any]:
    """verified_copies, once a night."""
    return [
        dg.define_asset_job(
            JOB, selection=[dg.AssetKey(NAME)], description="Copy every SQLite file, and verify the copies."
        )
    ]

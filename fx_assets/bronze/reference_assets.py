"""bronze/economic and bronze/rates: copies of the reference files that data.yaml names; without a file, no asset."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.bronze import reference
from fx_assets.configuration import Configuration
from fx_assets.inputs import BRONZE, reference_tables
from fx_assets.resources.home import HomeResource
from fx_assets.tables import CODE_VERSION, OWNER, define_asset, transient

DESCRIPTIONS = {
    "economic": "The calendar of economic releases, copied whole whenever the file has changed.",
    "rates": "Policy rates, copied whole whenever the file has changed.",
}
JOB = "reference_files"


def build(configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """An asset for each reference file."""
    return [_asset(configuration, table) for table in reference_tables(configuration)]


def build_jobs(configuration: Configuration) -> Sequence[Any]:
    """Looks at the files, where there are any. A copy is only made of a file that has changed."""
    tables = reference_tables(configuration)
    if not tables:
        return []
    return [dg.define_asset_job(JOB, dg.AssetSelection.assets(*(table.split("/") for table in tables)))]


def _asset(configuration: Configuration, table: str) -> dg.AssetsDefinition:
    name = table.removeprefix(BRONZE)

    @define_asset(
        key=table.split("/"),
        group_name="bronze",
        description=DESCRIPTIONS[name],
        retry_policy=transient,
        owners=[OWNER],
        tags={"layer": "bronze"},
        code_version=CODE_VERSION,
    )
    def copied(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        bronze = home.bronze
        given = reference.fetch(configuration, name)
        path = reference.append(bronze, given, datetime.now(UTC))
        rows = reference.parse(name, given.content, given.ending)
        clock = rows["time"] if "time" in rows.columns else rows["available_at"]
        span = {"first": str(clock.min()), "last": str(clock.max())} if len(rows) else {}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(given.told),
            metadata={
                "dagster/row_count": len(rows),
                "copy": path or reference.newest(bronze, table) or "",
                "changed": path is not None,
                "currencies": ", ".join(sorted(rows["currency"].unique())),
                **span,
            },
        )

    return copied

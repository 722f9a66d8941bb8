"""The asset `archive`: once a month (automation.yaml: archive_months), finished months of bronze go into the archive.

It is not partitioned: what it makes is a state (everything up to some month is archived), late fetches of any earlier
month included, and each run says which months it added to.
"""

from typing import Any

import dagster as dg

from fx_assets.archive.configured import archived_before, open_archive
from fx_assets.configuration import Configuration
from fx_assets.resources.home import HomeResource
from fx_assets.tables import CODE_VERSION, OWNER, define_asset, transient

JOB = "archive_months"


def build(configuration: Configuration) -> dg.AssetsDefinition:
    """The archive asset for a configuration; it has nothing to do where data.yaml names no archive."""
    settings = configuration.data.archive

    @define_asset(
        key="archive",
        group_name="bronze",
        description="Finished months of bronze, packed and verified in the archive of data.yaml.",
        deps=[["bronze", "candles"], ["bronze", "news"]],
        owners=[OWNER],
        tags={"layer": "bronze"},
        kinds={"tar"},
        code_version=CODE_VERSION,
        retry_policy=transient,
    )
    def archive(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        if not settings.url:
            context.log.info("data.yaml: archive.url is not set, so nothing is archived")
            return dg.MaterializeResult(metadata={"archive": "none"})
        before = archived_before(configuration)
        opened = open_archive(home.stores.home, configuration)
        done = opened.run(before, settings.remove_local)
        lines = ["| table | month | files packed | files removed here |", "| --- | --- | --- | --- |"]
        for key in sorted({*done.packed, *done.removed}):
            lines.append(f"| {key[0]} | {key[1]} | {done.packed.get(key, 0)} | {done.removed.get(key, 0)} |")
        return dg.MaterializeResult(
            metadata={
                "archive": opened.store.url,
                "months before": before,
                "packed": sum(done.packed.values()),
                "removed": sum(done.removed.values()),
                "months": dg.MetadataValue.md("\n".join(lines)),
            }
        )

    return archive


def build_jobs(configuration: Configuration) -> list[Any]:
    """The job that the clock asks for; none where data.yaml names no archive."""
    return [dg.define_asset_job(JOB, dg.AssetSelection.assets("archive"))] if configuration.data.archive.url else []

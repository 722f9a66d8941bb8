"""platform/tidiness: once a day, what nobody needs any more is removed, and listed."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.automation.leftovers import Leftover, leftovers, remove
from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.models import retention
from fx_assets.resources.home import HomeResource
from fx_assets.tables import CODE_VERSION, OWNER, define_asset
from fx_serving.client.home import Stores

JOB = "clean_up"
KEY = dg.AssetKey(["platform", "tidiness"])
_SHOWN = 200


class CleanUpConfig(dg.Config):
    """dry_run: list what would go, and remove nothing."""

    dry_run: bool = False


def build(configuration: Configuration) -> dg.AssetsDefinition:
    """The asset."""
    settings, models = configuration.automation.clean_up, list(configuration.models.models)

    @define_asset(
        key=KEY,
        group_name="platform",
        description="Removes old reports, logs and run output, training rows of old versions and stale temporaries.",
        owners=[OWNER],
        tags={"layer": "platform"},
        code_version=CODE_VERSION,
    )
    def tidiness(context: dg.AssetExecutionContext, config: CleanUpConfig, home: HomeResource) -> dg.MaterializeResult:
        found = leftovers(home.stores, settings, datetime.now(UTC), context.instance.has_run)
        problems = [] if config.dry_run else remove(found)
        rows, pruned, troubles = prune_models(home.stores, models, settings.keep_versions, config.dry_run)
        problems += troubles
        if problems:
            context.log.warning("\n".join(problems))
        return dg.MaterializeResult(
            metadata={
                "dry_run": config.dry_run,
                "files": len(found),
                "bytes": sum(leftover.bytes for leftover in found) + pruned,
                "problems": problems or ["none"],
                "removed": dg.MetadataValue.md(listing(home.stores, found) + rows),
            }
        )

    return tidiness


def build_job() -> Any:
    """The job that makes the asset."""
    return dg.define_asset_job(JOB, dg.AssetSelection.assets(KEY), description="Removes what nobody needs any more.")


def prune_models(stores: Stores, models: list[str], keep: int, dry_run: bool) -> tuple[str, int, list[str]]:
    """Training rows of old versions of every model, as `fx models prune` removes them: as table rows, with how many
    bytes that frees, and what went wrong.
    """
    lines, freed, problems = "", 0, []
    for model in models:
        try:
            gone = retention.prune(stores, model, keep, dry_run=dry_run)
        except FxError as error:
            problems.append(str(error))
            continue
        for found in gone:
            lines += f"\n| training rows | {model} version {found.version} | {found.bytes / 1e6:.1f} | |"
            freed += found.bytes
    return lines, freed, problems


def listing(stores: Stores, found: list[Leftover]) -> str:
    """What was found, as a Markdown table."""
    lines = ["| what | which | MB | age |", "| --- | --- | --- | --- |"]
    for leftover in found[:_SHOWN]:
        which = leftover.path.relative_to(stores.home)
        lines.append(f"| {leftover.kind} | {which} | {leftover.bytes / 1e6:.1f} | {leftover.age.days} d |")
    if len(found) > _SHOWN:
        lines.append(f"| | and {len(found) - _SHOWN} more | | |")
    return "\n".join(lines)

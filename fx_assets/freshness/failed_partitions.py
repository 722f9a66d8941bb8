"""The standing check for partitions left failed or missing in the past: a table that is quiet is not therefore whole.

Freshness looks at the newest materialization only. A session whose run failed a year ago, or that nobody ever asked
for, would stay unseen behind a green light.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fx_assets.bronze.due import fetched_by_us
from fx_assets.bronze.files import CANDLES, NEWS, Bronze
from fx_assets.configuration import Configuration
from fx_assets.inputs import BRONZE, table_inputs
from fx_assets.lake import Lake
from fx_assets.resources.home import HomeResource
from fx_assets.sessions import session_bounds
from fx_serving.client.clock import now

CHECK = "failed_partitions"
JOB = f"{CHECK}_check"  # a job may not have the name of its step
_SHOWN = 10


@dataclass(frozen=True)
class Unmade:
    """Sessions of a table that should be there and are not. failed: the last run that was to make them failed."""

    table: str
    failed: tuple[str, ...]
    holes: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The command that makes them."""
        sessions = sorted({*self.failed, *self.holes})
        return f"fx backfill --from {sessions[0]} --to {sessions[-1]}" if sessions else ""


def holes(made: Iterable[str], calendar: Sequence[str]) -> tuple[str, ...]:
    """The sessions of `calendar` (sorted) that are not made, between the first and the last one that is."""
    known = set(made)
    if not known:
        return ()
    first, last = min(known), max(known)
    return tuple(key for key in calendar if first < key < last and key not in known)


def unmade(
    configuration: Configuration,
    lake: Lake,
    bronze: Bronze,
    calendar: Sequence[str],
    failed: Mapping[str, Iterable[str]] | None = None,
) -> list[Unmade]:
    """Every table with the sessions it lacks; tables without any too. failed: by table, from Dagster's event log.

    Bronze is held against the calendar instrument by instrument. Lists folders, reads no file.
    """
    found = []
    for table in (CANDLES, NEWS, *table_inputs(configuration)):
        if table.startswith(BRONZE):
            fetched = bronze.sessions(table)
            wanted = fetched_by_us(configuration, table)
            lacking = tuple(sorted({key for i in wanted for key in holes(fetched.get(i, ()), calendar)}))
        else:
            lacking = holes(lake.keys(table), calendar)
        found.append(Unmade(table, tuple(sorted((failed or {}).get(table, ()))), lacking))
    return found


def failed_sessions(
    instance: dg.DagsterInstance, table: str, partitions: dg.TimeWindowPartitionsDefinition, keys: Sequence[str]
) -> list[str]:
    """The sessions whose last run failed and that were not made since, nor are being made."""
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    # As instance.get_status_by_partition, which asks of every session, and by its time; few have failed, or none.
    known = get_and_update_asset_status_cache_value(instance, dg.AssetKey(table.split("/")), partitions)
    if known is None:
        return []
    failed = set(known.deserialize_failed_partition_subsets(partitions).get_partition_keys())
    if failed:
        failed -= set(known.deserialize_in_progress_partition_subsets(partitions).get_partition_keys())
    return [key for key in keys if key in failed]


def build(
    configuration: Configuration, partitions: dg.TimeWindowPartitionsDefinition
) -> tuple[dg.AssetChecksDefinition, Any]:
    """The check of every table, and the job that evaluates it."""
    tables = [CANDLES, NEWS, *table_inputs(configuration)]
    description = "No session was left failed, and none is missing between those that were made."
    specs = [dg.AssetCheckSpec(CHECK, asset=table.split("/"), description=description) for table in tables]

    @dg.multi_asset_check(specs=specs, name=CHECK, can_subset=True)
    def failed_partitions(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterable[dg.AssetCheckResult]:
        moment = now()
        calendar = [key for key in partitions.get_partition_keys() if session_bounds(key)[0] <= moment]
        selected = {key.asset_key.to_user_string() for key in context.op_execution_context.selected_asset_check_keys}
        asked = [table for table in tables if table in selected]
        failed = {table: failed_sessions(context.instance, table, partitions, calendar) for table in asked}
        for entry in unmade(configuration, home.lake, home.bronze, calendar, failed):
            if entry.table not in selected:
                continue
            yield dg.AssetCheckResult(
                asset_key=entry.table.split("/"),
                check_name=CHECK,
                passed=not (entry.failed or entry.holes),
                metadata={
                    "failed": _listed(entry.failed),
                    "missing": _listed(entry.holes),
                    "sessions": len(entry.failed) + len(entry.holes),
                    "remedy": entry.remedy or "none needed",
                },
            )

    return failed_partitions, dg.define_asset_job(JOB, selection=dg.AssetSelection.checks(failed_partitions))


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more or "none"

"""Runs of the last day by asset and by job, what waits, and whether the daemons live."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.instance import SharedInstance, rows, seconds

WINDOW_S = 86400.0
# Events that an exporter looks back at when it starts: of a day with ten thousand runs some sixty thousand. Without a
# limit a home with years of history would be read from its beginning.
START_EVENTS = 200_000
# Where several processes write at once, as in PostgreSQL, an event may show after others with a higher id.
OVERLAP_EVENTS = 1000
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
PLANNED, MADE = "ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION"
SINGLE_ASSETS = "__ASSET_JOB"  # Dagster's own job for runs that were asked for by asset

# The index is over status and update_timestamp. Of a run that Dagster starts again by itself, since its process was
# killed, the one that repeats it counts.
_ENDED = f"""
    SELECT run_id, pipeline_name, status, start_time, end_time FROM runs
    WHERE status IN {ENDED} AND update_timestamp >= :since
    AND run_id NOT IN (SELECT run_id FROM run_tags WHERE key = 'dagster/will_retry' AND value = 'true')
"""
_WAITING = f"SELECT status, count(*), min(create_timestamp) FROM runs WHERE status IN {UNFINISHED} GROUP BY status"
_RUNNING = f"SELECT run_id FROM runs WHERE status IN {UNFINISHED}"
_BACKFILLS = "SELECT count(*) FROM bulk_actions WHERE status = 'REQUESTED'"
_EVENTS = """
    SELECT run_id, step_key, asset_key, max(id) FROM event_logs
    WHERE dagster_event_type = :kind AND id > :after GROUP BY run_id, step_key, asset_key
"""
_NEWEST_EVENT = "SELECT max(id) FROM event_logs"


@dataclass(frozen=True)
class Run:
    """A run that has ended. began and ended: seconds since 1970, None where it never started."""

    job: str
    status: str
    began: float | None
    ended: float | None


class Steps:
    """Which assets the runs were to make and made, read on from where the last look ended."""

    def __init__(self) -> None:
        self._after: int | None = None
        self.planned: dict[str, dict[str, str]] = defaultdict(dict)  # run -> asset -> step
        self.made: dict[str, set[str]] = defaultdict(set)  # run -> assets

    def look(self, connection: Any) -> None:
        """Take in the newer events."""
        newest = int(rows(connection, _NEWEST_EVENT)[0][0] or 0)
        is_known = self._after is not None and self._after <= newest  # else the database is another one
        after = max(0, newest - START_EVENTS if not is_known else (self._after or 0) - OVERLAP_EVENTS)
        for run, step, key, _ in rows(connection, _EVENTS, kind=PLANNED, after=after):
            self.planned[run][_asset(key)] = step
        for run, _, key, _ in rows(connection, _EVENTS, kind=MADE, after=after):
            self.made[run].add(_asset(key))
        self._after = newest

    def forget(self, known: Iterable[str]) -> None:
        """Drop all runs but these."""
        kept = set(known)
        for table in (self.planned, self.made):
            for run in table.keys() - kept:
                del table[run]


def build(instance: SharedInstance) -> Collector:
    """Every half minute; what earlier looks have read is kept."""
    steps = Steps()
    lengths: dict[tuple[str, str], float | None] = {}  # by run and step

    def collect() -> Iterator[Sample]:
        opened = instance.open()
        if opened is None:
            return
        with instance.runs() as connection:
            runs, running = _ended(connection), [run for (run,) in rows(connection, _RUNNING)]
            yield from _waiting(connection)
        with instance.events() as connection:
            steps.look(connection)
        steps.forget([*runs, *running])
        yield from _jobs(runs)
        yield from _assets(runs, steps)
        yield from _lengths(instance, runs, steps, lengths)
        yield from _daemons(opened)

    return Collector("runs", collect, every_s=30, limit_s=30)


def _ended(connection: Any) -> dict[str, Run]:
    since = datetime.now(UTC) - timedelta(seconds=WINDOW_S)
    found = rows(connection, _ENDED, since=f"{since:%Y-%m-%d %H:%M:%S}")
    return {run: Run(str(job), status, began, ended) for run, job, status, began, ended in found}


def _waiting(connection: Any) -> Iterator[Sample]:
    counts = {status: (count, oldest) for status, count, oldest in rows(connection, _WAITING)}
    for status in UNFINISHED:
        yield Sample("fx_runs_unfinished", (status.lower(),), float(counts.get(status, (0, None))[0]))
    oldest = counts.get("QUEUED", (0, None))[1]
    waited = 0.0 if oldest is None else time.time() - seconds(oldest)
    yield Sample("fx_runs_queued_oldest_seconds", (), max(waited, 0.0))
    yield Sample("fx_backfills_running", (), float(rows(connection, _BACKFILLS)[0][0]))


def _jobs(runs: Mapping[str, Run]) -> Iterator[Sample]:
    by_job: dict[str, list[Run]] = defaultdict(list)
    for run in runs.values():
        by_job["assets" if run.job == SINGLE_ASSETS else run.job].append(run)
    for job, found in by_job.items():
        good = [run for run in found if run.status == "SUCCESS"]
        yield Sample("fx_job_runs_day", (job, "success"), len(good))
        yield Sample("fx_job_runs_day", (job, "failure"), len(found) - len(good))
        yield Sample("fx_job_run_success_ratio", (job,), len(good) / len(found))
        took = [run.ended - run.began for run in found if run.began is not None and run.ended is not None]
        if took:
            yield Sample("fx_job_run_seconds", (job,), sum(took) / len(took))


def _assets(runs: Mapping[str, Run], steps: Steps) -> Iterator[Sample]:
    """A run that was to make an asset and ended without it failed it, whatever became of the run."""
    good: Counter[str] = Counter()
    all_: Counter[str] = Counter()
    newest: dict[str, float] = {}
    for run_id, run in runs.items():
        for asset in steps.planned.get(run_id, {}):
            all_[asset] += 1
            if asset in steps.made.get(run_id, ()):
                good[asset] += 1
                newest[asset] = max(newest.get(asset, 0.0), run.ended or 0.0)
    for asset, count in all_.items():
        yield Sample("fx_asset_runs_day", (asset, "success"), good[asset])
        yield Sample("fx_asset_runs_day", (asset, "failure"), count - good[asset])
        yield Sample("fx_asset_run_success_ratio", (asset,), good[asset] / count)
        if newest.get(asset):
            yield Sample("fx_asset_made_timestamp_seconds", (asset,), newest[asset])


def _lengths(
    instance: SharedInstance, runs: Mapping[str, Run], steps: Steps, known: dict[tuple[str, str], float | None]
) -> Iterator[Sample]:
    """The length of each asset's step in the newest run that made it; each run's steps are read once."""
    newest: dict[str, str] = {}
    for run_id in sorted((r for r in runs if runs[r].ended), key=lambda r: runs[r].ended or 0.0):
        for asset in steps.made.get(run_id, ()):
            newest[asset] = run_id
    wanted = {(run, step) for asset, run in newest.items() if (step := steps.planned.get(run, {}).get(asset))}
    for run in {run for run, step in wanted - known.keys()}:
        times = {(step, event): at for step, event, at in instance.step_times(run)}
        for step in {step for of, step in wanted if of == run}:
            began, ended = times.get((step, "STEP_START")), times.get((step, "STEP_SUCCESS"))
            known[run, step] = ended - began if began is not None and ended is not None else None
    for old in known.keys() - wanted:
        del known[old]
    for asset, run in newest.items():
        took = known.get((run, steps.planned.get(run, {}).get(asset, "")))
        if took is not None:
            yield Sample("fx_asset_run_seconds", (asset,), took)


def _daemons(instance: Any) -> Iterator[Sample]:
    """Of the daemons that this instance needs: one of an earlier version left its last sign of life behind. One that
    never gave any is as silent as can be: without a figure nobody would be told.
    """
    beats = instance.get_daemon_heartbeats()
    for kind in sorted(instance.get_required_daemon_types()):
        age = max(0.0, time.time() - beats[kind].timestamp) if kind in beats else math.inf
        yield Sample("fx_daemon_heartbeat_age_seconds", (kind.lower(),), age)


def _asset(key: str) -> str:
    """silver/candles of the stored ["silver", "candles"]."""
    return "/".join(msgspec.json.decode(key, type=list[str]))

"""From Dagster's run records to the service levels: each look reads what has changed since the last one, and no more.

A look must be over in a second with 100,000 runs a day, so it stops reading after BUDGET_S and goes on at the next.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from fx_assets.automation.table import ROW, SESSION
from fx_assets.configuration import Configuration
from fx_assets.runs.sessions import begun_sessions
from fx_assets.sessions import session_bounds
from fx_monitoring.slo.budget import Level, add, forget, level
from fx_monitoring.slo.runs import SUCCEEDED, Missed, RunRow, belongs_to, fault, not_done
from fx_monitoring.slo.store import Document, State, read_state, write
from fx_serving.client.clock import now as data_now
from fx_serving.client.home import Stores

AT_ONCE = 200
BUDGET_S = 0.5
# Run records are written by several processes: one may show a little after another that changed later.
OVERLAP = timedelta(seconds=60)
WILL_RETRY = "dagster/will_retry"
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]  # who cancels a run has a reason
KEPT_MISSED = 200
KEPT_DONE = 400  # more sessions than the longest window has


def look(instance: dg.DagsterInstance, stores: Stores, configuration: Configuration, now: datetime) -> Document:
    """Read what is new, count it, and write how the service levels stand. now: wall clock, aware."""
    state, table = read_state(stores), configuration.automation
    longest = max((slo.window_days for slo in table.slo.values()), default=1)
    for run in _changed(instance, state, now - timedelta(days=longest), now):
        count(state, run, configuration)
    late_sessions(state, configuration, now)
    document = Document(now, levels(state, configuration, now))
    write(stores, state, document)
    return document


def count(state: State, run: RunRow, configuration: Configuration) -> None:
    """Count one finished run in every service level that it belongs to."""
    table = configuration.automation
    for name, row_name in belongs_to(run, table):
        row = table.rows[row_name]
        why = fault(run, row)
        # That its session was late may have been counted before it came.
        told = why is not None and run.status == SUCCEEDED and _was_told(state, row_name, run.session)
        if not told:
            add(state.counts.setdefault(name, {}), run.ended, why is None)
        if why is not None and not told:
            _miss(state, name, Missed(run.run_id, run.job, row_name, why, run.ended))
        if row.done_by is not None and run.session is not None and run.status == SUCCEEDED:
            done = state.done.setdefault(row_name, [])
            if run.session not in done:
                done.append(run.session)
                del done[:-KEPT_DONE]


def _was_told(state: State, row: str, session: str | None) -> bool:
    return session is not None and any(why.startswith(f"session {session} ") for why in state.told.get(row, []))


def late_sessions(state: State, configuration: Configuration, now: datetime) -> None:
    """Count sessions that should be done by now and are not, once each. Only where data time is the present."""
    moment = data_now()
    if abs(moment - now) > timedelta(hours=1):
        return
    table = configuration.automation
    for name, slo in table.slo.items():
        since = now - timedelta(days=slo.window_days)
        ended = [key for key in begun_sessions(configuration, moment) if since < session_bounds(key)[1] <= moment]
        for row_name in slo.rows:
            row, told = table.rows[row_name], state.told.setdefault(row_name, [])
            if not table.on(row_name):
                continue
            for missed in not_done(row_name, row, state.done.get(row_name, []), ended, now):
                if missed.why not in told:
                    told.append(missed.why)
                    add(state.counts.setdefault(name, {}), missed.at, False)
                    _miss(state, name, missed)
            del told[:-KEPT_MISSED]


def levels(state: State, configuration: Configuration, now: datetime) -> list[Level]:
    """How every service level stands; what lies before its window is forgotten."""
    found = []
    for name, slo in configuration.automation.slo.items():
        since = now - timedelta(days=slo.window_days)
        counts = state.counts.setdefault(name, {})
        forget(counts, since)
        missed = [entry for entry in state.missed.get(name, []) if entry.at >= since]
        state.missed[name] = missed
        found.append(level(name, slo, counts, missed, now))
    return found


def _miss(state: State, name: str, missed: Missed) -> None:
    known = state.missed.setdefault(name, [])
    known.append(missed)
    del known[:-KEPT_MISSED]


def _changed(instance: dg.DagsterInstance, state: State, oldest: datetime, now: datetime) -> Iterator[RunRow]:
    """The finished runs that were not read yet, until the time is up; notes how far it has come."""
    until = time.monotonic() + BUDGET_S
    newest = min(state.after or oldest, now)  # a clock that was fast has left records of the future
    after, seen = newest - OVERLAP, dict.fromkeys(state.seen, newest)
    while time.monotonic() < until or after < newest:  # what was read before is gone through in any case
        filters = dg.RunsFilter(statuses=FINISHED, updated_after=after)
        records = instance.get_run_records(filters, limit=AT_ONCE, order_by="update_timestamp", ascending=True)
        for record in records:
            after = _aware(record.update_timestamp)
            run = record.dagster_run
            # Of a run that is started again, the one that repeats it counts.
            if run.run_id not in seen and run.tags.get(WILL_RETRY) != "true":
                yield _row(record)
            seen[run.run_id] = after
        newest = max(newest, after)
        if len(records) < AT_ONCE:
            break
    state.after = min(newest, now)
    state.seen = {run_id for run_id, changed in seen.items() if changed >= state.after - OVERLAP}


def _row(record: dg.RunRecord) -> RunRow:
    run = record.dagster_run
    ended = record.end_time
    return RunRow(
        run.run_id,
        run.job_name,
        run.status.value,
        _aware(record.create_timestamp),
        _aware(record.update_timestamp) if ended is None else datetime.fromtimestamp(ended, UTC),
        run.tags.get(ROW),
        run.tags.get(SESSION),
    )


def _aware(moment: datetime) -> datetime:
    """Dagster's time stamps are UTC, with or without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

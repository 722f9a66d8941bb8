"""Whether one run was good, by the row of automation.yaml that it belongs to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from fx_assets.configuration.automation import AutomationFile, Row
from fx_assets.sessions import session_bounds

SUCCEEDED, FAILED = "SUCCESS", "FAILURE"


@dataclass(frozen=True)
class RunRow:
    """A finished run. created: when it was asked for; a queue's wait counts. row and session: what its tags name."""

    run_id: str
    job: str
    status: str
    created: datetime
    ended: datetime
    row: str | None = None
    session: str | None = None


class Missed(msgspec.Struct, frozen=True):
    """A run that was not good, or the session that no run has made in time. why: in words."""

    run_id: str
    job: str
    row: str
    why: str
    at: datetime


def belongs_to(run: RunRow, table: AutomationFile) -> list[tuple[str, str]]:
    """(service level, row) of each service level that counts the run."""
    found = []
    for name, slo in table.slo.items():
        if run.row is not None and run.row in table.rows and table.rows[run.row].serves(run.job):
            mine = run.row if run.row in slo.rows else None
        else:
            serving = [row for row in slo.rows if table.rows[row].serves(run.job)]
            mine = next((row for row in serving if table.on(row)), serving[0] if serving else None)
        if mine is not None:
            found.append((name, mine))
    return found


def fault(run: RunRow, row: Row) -> str | None:
    """What was wrong with a run, in words; None for a good one."""
    if run.status != SUCCEEDED:
        return "failed"
    took = (run.ended - run.created).total_seconds() / 60
    if row.sla_minutes is not None and took > row.sla_minutes:
        return f"took {took:.0f} min of {row.sla_minutes:g}"
    if row.done_by is not None and run.session is not None:
        wanted = deadline(run.session, row)
        if run.ended > wanted:
            local = run.ended.astimezone(wanted.tzinfo)
            return f"session {run.session} was done at {local:%a %H:%M}, and not by {wanted:%a %H:%M} {row.timezone}"
    return None


def deadline(session: str, row: Row) -> datetime:
    """By when a session must be done: the first `done_by` after its end, in the row's own time zone."""
    zone = ZoneInfo(row.timezone)
    hour, _, minute = (row.done_by or "00:00").partition(":")
    end = session_bounds(session)[1].astimezone(zone)
    day = end.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    return day if day > end else (day.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)


def not_done(name: str, row: Row, done: Sequence[str], ended: Sequence[str], now: datetime) -> list[Missed]:
    """The sessions that should be done by now, and are not. done: those that are; none before the first of them counts,
    since the platform may not have been there. ended: the sessions to look at, sorted.
    """
    if row.done_by is None or not done:
        return []
    first, known = min(done), set(done)
    late = [key for key in ended if key > first and key not in known and deadline(key, row) < now]
    return [
        Missed(
            "", row.job or "", name, f"session {key} was not done by {row.done_by} {row.timezone}", deadline(key, row)
        )
        for key in late
    ]

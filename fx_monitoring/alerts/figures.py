"""Figures of the desk for the exporter and for people: read-only, and cheap enough for every scrape."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fx_monitoring.alerts.desk import wall_clock
from fx_monitoring.alerts.store import fact, reading
from fx_serving.client.home import Stores

HEARTBEAT = "heartbeat_at"
DAY_S = 86400.0


class AlertFigures(msgspec.Struct, frozen=True):
    """open: alerts by severity. By route: notices that wait, that were given up within a day and after the last
    success, the age in seconds of the oldest one that was tried in vain, for how many the oldest one has been due that
    nobody has tried, and when one was sent last.
    """

    open: dict[str, int]
    waiting: dict[str, int]
    failed: dict[str, int]
    oldest_waiting_s: dict[str, float]
    oldest_untried_s: dict[str, float]
    last_sent_at: dict[str, datetime]
    heartbeat_at: datetime | None


def figures(stores: Stores, now: datetime | None = None) -> AlertFigures | None:
    """None where nothing was ever fired."""
    return figures_at(stores.alerts_db, now or wall_clock())


def figures_at(path: Path, now: datetime) -> AlertFigures | None:
    """The same, of a database by its path."""
    moment = now.timestamp()
    with reading(path) as db:
        if db is None:
            return None
        by = lambda sql, *values: {row[0]: row[1] for row in db.execute(sql, values)}  # noqa: E731
        waiting = "FROM notices WHERE state = 'waiting'"
        oldest = by(f"SELECT route, min(created) {waiting} AND attempts > 0 AND NOT held GROUP BY route")
        due = f"{waiting} AND attempts = 0 AND NOT held AND due <= ?"
        untried = by(f"SELECT route, min(due) {due} GROUP BY route", moment)
        sent = by("SELECT route, max(sent_at) FROM notices WHERE state = 'sent' GROUP BY route")
        beat = fact(db, HEARTBEAT)
        return AlertFigures(
            open=by("SELECT severity, count(*) FROM alerts WHERE is_open GROUP BY severity"),
            waiting=by(f"SELECT route, count(*) {waiting} GROUP BY route"),
            failed=by(
                "SELECT route, count(*) FROM notices AS lost WHERE state = 'failed' AND created > max(?, coalesce("
                "(SELECT max(sent_at) FROM notices WHERE state = 'sent' AND route = lost.route), 0)) GROUP BY route",
                moment - DAY_S,
            ),
            oldest_waiting_s={route: moment - created for route, created in oldest.items()},
            oldest_untried_s={route: moment - due for route, due in untried.items()},
            last_sent_at={route: datetime.fromtimestamp(at, UTC) for route, at in sent.items()},
            heartbeat_at=None if beat is None else datetime.fromisoformat(beat),
        )

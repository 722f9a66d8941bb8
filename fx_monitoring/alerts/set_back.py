"""A clock that was fast and has been set right: what was noted meanwhile lies in the future, and would wait for it."""

from __future__ import annotations

import sqlite3

from fx_monitoring.alerts.store import FAILED_AT

TOLERANCE_S = 60.0
_DAY_S = 86400.0


def set_right(db: sqlite3.Connection, now: float, longest_s: float) -> None:
    """Take times to come for now, where they cannot be meant. longest_s: what a lease or an attempt's pause may last.

    What was sent in the future counts as sent a day ago: against a route's limit it counts no longer.
    """
    pause = "state = 'waiting' AND attempts > 0 AND NOT held AND due > ?"
    db.execute(f"UPDATE notices SET due = ? WHERE {pause}", (now, now + longest_s))
    db.execute("UPDATE notices SET leased_until = 0 WHERE state = 'waiting' AND leased_until > ?", (now + longest_s,))
    db.execute(
        "DELETE FROM facts WHERE substr(name, 1, ?) = ? AND CAST(value AS REAL) > ?", (len(FAILED_AT), FAILED_AT, now)
    )
    db.execute("UPDATE notices SET sent_at = ? WHERE state = 'sent' AND sent_at > ?", (now - _DAY_S, now + TOLERANCE_S))
    newest = "SELECT max(at) FROM (SELECT max(created) AS at FROM notices UNION SELECT max(last_seen) FROM alerts)"
    if (db.execute(newest).fetchone()[0] or 0) <= now + TOLERANCE_S:
        return
    db.execute("UPDATE notices SET due = min(due, ?), created = ?, leased_until = 0 WHERE created > ?", (now, now, now))
    for column in ("first_seen", "last_seen"):
        db.execute(f"UPDATE alerts SET {column} = ? WHERE {column} > ?", (now, now))

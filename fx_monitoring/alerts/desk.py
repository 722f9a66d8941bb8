"""The desk: every trouble once, with when it began, how often it came, and who must still be told.

Nothing is sent here. What is to be told becomes a row of `notices`, in the same transaction as the alert itself.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TypeVar

from msgspec.structs import asdict

from fx_monitoring.alerts import messages
from fx_monitoring.alerts.configuration import AlertsFile, load_alerts
from fx_monitoring.alerts.model import Alert, Kind, OpenAlert, rank
from fx_monitoring.alerts.store import changing, fact, reading, remember
from fx_serving.client.home import Stores

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


def wall_clock() -> datetime:
    """Now, for people."""
    return datetime.now(UTC)


class Desk:
    """The alerts of one home. Any process may hold one; there is nothing to close."""

    def __init__(
        self,
        stores: Stores,
        configuration: AlertsFile | None = None,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.path = stores.alerts_db
        self.configuration = configuration or load_alerts()
        self.clock = clock

    # ---- what is wrong --------------------------------------------------------------------------------------------

    def fire(self, alert: Alert) -> bool:
        """Record a trouble; True where it was not open before. Again for one that is open: counted, told to nobody,
        unless it has become worse. Never raises for a store that cannot be written: that is logged.
        """
        return self._recorded(alert.key, False, lambda db: self._fire(db, alert, again=True))

    def resolve(self, key: str, why: str) -> bool:
        """A trouble is over; False where it was not open. Raises as little as `fire` does."""
        return self._recorded(key, False, lambda db: self._resolve(db, key, why))

    def reconcile(self, names: Iterable[str], alerts: Sequence[Alert], why: str) -> tuple[int, int]:
        """The whole truth about some kinds of trouble: `alerts` are those there are, any other open one of these
        names is over. Returns how many are new and how many are resolved; asked again, (0, 0).
        """
        kinds, current = set(names), {alert.key for alert in alerts}

        def change(db: sqlite3.Connection) -> tuple[int, int]:
            new = sum(self._fire(db, alert, again=False) for alert in alerts)
            rows = db.execute("SELECT key FROM alerts WHERE is_open").fetchall()
            gone = [key for (key,) in rows if key.partition("/")[0] in kinds and key not in current]
            return new, sum(self._resolve(db, key, why) for key in gone)

        return self._recorded(", ".join(sorted(kinds)), (0, 0), change)

    def apply(self, stream: str, mark: str, fire: Sequence[Alert] = (), resolve: Sequence[tuple[str, str]] = ()) -> int:
        """What a stream of events says up to `mark`, all in one change: an event is taken once, whoever dies when.
        resolve: (key, why). Returns how many alerts are new.
        """

        def change(db: sqlite3.Connection) -> int:
            new = sum(self._fire(db, alert, again=True) for alert in fire)
            for key, why in resolve:
                self._resolve(db, key, why)
            remember(db, f"read/{stream}", mark)
            return new

        return self._recorded(stream, 0, change)

    def read_to(self, stream: str) -> str | None:
        """The newest mark of a stream."""
        with reading(self.path) as db:
            return None if db is None else fact(db, f"read/{stream}")

    # ---- what people do -------------------------------------------------------------------------------------------

    def ack(self, key: str, by: str) -> bool:
        """Somebody has it: no more reminders until it is resolved or becomes worse. False: no such open alert."""
        with changing(self.path) as db:
            return db.execute("UPDATE alerts SET acked_by = ? WHERE key = ? AND is_open", (by, key)).rowcount > 0

    def silence(self, pattern: str, until: datetime, by: str, why: str) -> int:
        """Tell nobody of what fits, until then; it is still recorded. Returns how many open alerts fit now."""
        now = self.clock().timestamp()
        with changing(self.path) as db:
            db.execute(
                "INSERT INTO silences VALUES (?, ?, ?, ?, ?) ON CONFLICT (pattern) DO UPDATE"
                " SET until = excluded.until, by = excluded.by, why = excluded.why, created = excluded.created",
                (pattern, until.timestamp(), by, why, now),
            )
            found = [key for (key,) in db.execute("SELECT key FROM alerts WHERE is_open") if fnmatchcase(key, pattern)]
            for key in found:
                db.execute("UPDATE notices SET state = 'dropped' WHERE key = ? AND state = 'waiting'", (key,))
            return len(found)

    def silences(self) -> list[tuple[str, datetime, str, str]]:
        """(pattern, until, by, why) of those in force."""
        with reading(self.path) as db:
            rows = [] if db is None else db.execute("SELECT * FROM silences ORDER BY pattern").fetchall()
        now = self.clock().timestamp()
        return [(r["pattern"], _moment(r["until"]), r["by"], r["why"]) for r in rows if r["until"] > now]

    # ---- what there is --------------------------------------------------------------------------------------------

    def open(self) -> list[OpenAlert]:
        """The worst first, then the oldest."""
        return self._alerts("WHERE is_open")

    def newest(self, limit: int) -> list[OpenAlert]:
        """Open and resolved ones, as they were last seen."""
        return sorted(self._alerts(""), key=lambda alert: alert.last_seen, reverse=True)[:limit]

    def _alerts(self, where: str) -> list[OpenAlert]:
        with reading(self.path) as db:
            rows = [] if db is None else db.execute(f"SELECT * FROM alerts {where}").fetchall()
        return sorted((_alert(row) for row in rows), key=lambda a: (-rank(a.severity), a.first_seen))

    # ---- within a transaction -------------------------------------------------------------------------------------

    def _fire(self, db: sqlite3.Connection, alert: Alert, *, again: bool) -> bool:
        applied = self.configuration.applied(alert)
        if applied is None:
            return False
        now = self.clock().timestamp()
        row = db.execute("SELECT * FROM alerts WHERE key = ?", (alert.key,)).fetchone()
        is_new = row is None or not row["is_open"]
        values = asdict(applied) | {"first_seen": now, "count": 1, "acked_by": None}
        if row is not None and row["is_open"]:
            worse = rank(applied.severity) > rank(row["severity"])
            values |= {"first_seen": row["first_seen"], "count": row["count"] + again}
            values |= {"acked_by": None if worse else row["acked_by"]}
        elif row is not None and self._came_back(db, alert.key):
            # It was resolved a moment ago and nobody was told yet: it was never over.
            values |= {"first_seen": row["first_seen"], "count": row["count"] + 1, "acked_by": row["acked_by"]}
        values |= {"last_seen": now, "is_open": 1, "resolved_at": None, "why": None}
        names = ", ".join(values)
        db.execute(
            f"INSERT OR REPLACE INTO alerts ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
        )
        self.owe(db, alert.key)
        return is_new

    def _came_back(self, db: sqlite3.Connection, key: str) -> bool:
        """Drop the notices that would have said it is over."""
        waiting = "key = ? AND kind = 'resolved' AND state = 'waiting' AND attempts = 0"
        return db.execute(f"UPDATE notices SET state = 'dropped' WHERE {waiting}", (key,)).rowcount > 0

    def _resolve(self, db: sqlite3.Connection, key: str, why: str) -> bool:
        now = self.clock().timestamp()
        changed = db.execute(
            "UPDATE alerts SET is_open = 0, resolved_at = ?, why = ? WHERE key = ? AND is_open", (now, why, key)
        )
        if not changed.rowcount:
            return False
        alert = _alert(db.execute("SELECT * FROM alerts WHERE key = ?", (key,)).fetchone())
        for name, route in self.configuration.routes.items():
            last = _last_told(db, alert, name)
            if route.resolved and last is not None and last["kind"] != "resolved":
                # A silence puts it off: an incident that was opened somewhere must be closed some time.
                due = max(now + self.configuration.settle_seconds, self._silent_until(db, key))
                self._note(db, alert, name, "resolved", due)
        return True

    def owe(self, db: sqlite3.Connection, key: str) -> None:
        """Note for each route that takes this open alert what it has not been told: that it is there, worse, or still
        there after the route's interval.
        """
        alert = _alert(db.execute("SELECT * FROM alerts WHERE key = ?", (key,)).fetchone())
        now = self.clock().timestamp()
        if self._silent_until(db, key):
            return
        for name, route in self.configuration.routes.items():
            if not route.takes(alert.severity, alert.owner) or not self.configuration.addresses(name):
                continue
            last = _last_told(db, alert, name)
            every = getattr(route.repeat_minutes, alert.severity) * 60
            if last is None or last["kind"] == "resolved" or rank(last["severity"]) < rank(alert.severity):
                # What is not sent yet was about less, and might be held until the morning.
                lesser = "key = ? AND route = ? AND state = 'waiting' AND kind != 'resolved' AND leased_until <= ?"
                db.execute(f"UPDATE notices SET state = 'dropped' WHERE {lesser}", (key, name, now))
                self._note(db, alert, name, "fired", now)
            elif alert.acked_by:
                continue
            elif last["state"] == "failed" and _sent_since(db, name, last["created"]):
                self._note(db, alert, name, "fired", now)  # it was given up, and the route works again
            elif every and now - last["created"] >= every:
                self._note(db, alert, name, "repeat", now)

    def _silent_until(self, db: sqlite3.Connection, key: str) -> float:
        """When the silences that a key fits are over; 0 without one."""
        rows = db.execute("SELECT pattern, until FROM silences WHERE until > ?", (self.clock().timestamp(),))
        return max((until for pattern, until in rows if fnmatchcase(key, pattern)), default=0.0)

    def _note(self, db: sqlite3.Connection, alert: OpenAlert, route: str, kind: Kind, due: float) -> None:
        words = (messages.subject(alert, kind), messages.body(alert, kind, self.configuration.links.runbooks))
        db.execute(
            "INSERT INTO notices (key, route, kind, severity, subject, body, link, created, due)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (alert.key, route, kind, alert.severity, *words, alert.link, self.clock().timestamp(), due),
        )

    def _recorded(self, what: str, otherwise: Result, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """A full disk or a broken file must not fail whoever reports a trouble; the heartbeat stops because of it."""
        try:
            with changing(self.path) as db:
                return change(db)
        except (sqlite3.Error, OSError) as error:
            logger.error("%s: the alert %s cannot be recorded: %s", self.path, what, error)
            return otherwise


def _last_told(db: sqlite3.Connection, alert: OpenAlert, route: str) -> sqlite3.Row | None:
    """The newest notice of this alert to this route that was, or will be, sent. One that it was there before, and has
    been over since, tells nothing of now.
    """
    return db.execute(
        "SELECT kind, severity, state, created FROM notices WHERE key = ? AND route = ? AND state != 'dropped'"
        " AND created >= ? ORDER BY id DESC LIMIT 1",
        (alert.key, route, alert.first_seen.timestamp()),
    ).fetchone()


def _sent_since(db: sqlite3.Connection, route: str, moment: float) -> bool:
    sent = "SELECT 1 FROM notices WHERE route = ? AND state = 'sent' AND sent_at > ?"
    return db.execute(sent, (route, moment)).fetchone() is not None


def _alert(row: sqlite3.Row) -> OpenAlert:
    kept = {name: row[name] for name in ("key", "severity", "owner", "title", "detail", "link", "remedy", "count")}
    return OpenAlert(
        **kept,
        first_seen=_moment(row["first_seen"]),
        last_seen=_moment(row["last_seen"]),
        acked_by=row["acked_by"],
        resolved_at=None if row["resolved_at"] is None else _moment(row["resolved_at"]),
        why=row["why"],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

"""What waits to be sent: taken under a lease, sent, and marked; or tried again later.

A notice is taken in one transaction (attempt counted, lease set) and marked in another. Killed in between, it is taken
again when the lease has run out: sent at least once, and never more often than `delivery.attempts`.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from fx_monitoring.alerts.configuration import AlertsFile, Route
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.model import Notice, rank
from fx_monitoring.alerts.quiet import quiet_until
from fx_monitoring.alerts.set_back import set_right
from fx_monitoring.alerts.store import FAILED_AT, changing, fact, remember

LEASE_MARGIN_S = 30.0
# After a message that reached nobody, new ones of the route wait so long: one of them finds out, not all.
REST_S = 60.0
_COLUMNS = ", ".join(f for f in Notice.__struct_fields__)


class Outbox:
    """The waiting notices of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.configuration: AlertsFile = desk.configuration

    def remind(self) -> None:
        """Note what open alerts owe by now: repeats, and what a silence or a missing address held back."""
        with changing(self.desk.path) as db:
            set_right(db, self.desk.clock().timestamp(), max(self._longest_s, self._lease_s))
            for (key,) in db.execute("SELECT key FROM alerts WHERE is_open").fetchall():
                self.desk.owe(db, key)

    def ready(self, routes: Sequence[str]) -> list[str]:
        """Those of the routes that a message can go to now."""
        now, found = self.desk.clock().timestamp(), []
        with changing(self.desk.path) as db:
            for name in routes:
                self._hold(db, name, self.configuration.routes[name], now)
                if self._choose(db, name, self.configuration.routes[name], now):
                    found.append(name)
        return found

    def take(self, route: str) -> list[Notice]:
        """The next notices of a route that go out as one message; none where nothing is due, or may be sent now."""
        now = self.desk.clock().timestamp()
        settings = self.configuration.routes[route]
        with changing(self.desk.path) as db:
            self._hold(db, route, settings, now)
            chosen = self._choose(db, route, settings, now)
            until = now + self._lease_s
            batch = uuid.uuid4().hex
            for notice in chosen:
                db.execute(
                    "UPDATE notices SET attempts = attempts + 1, leased_until = ?, batch = ? WHERE id = ?",
                    (until, batch, notice.id),
                )
        return chosen

    def mark(self, notices: Sequence[Notice], delivered: Sequence[int], asked: int, error: str | None) -> None:
        """What came of it. delivered: positions of the route's addresses that have the message now; asked: how many
        there are. error: in own words, without any address.
        """
        now, route = self.desk.clock().timestamp(), notices[0].route
        with changing(self.desk.path) as db:
            if not delivered:
                if not notices[0].done:  # else another address works, and nothing needs to rest
                    remember(db, FAILED_AT + route, str(now))
            elif db.execute("DELETE FROM facts WHERE name = ?", (FAILED_AT + route,)).rowcount:
                # It works again: what was put off needs not wait for its own turn.
                put_off = "route = ? AND state = 'waiting' AND error IS NOT NULL AND leased_until = 0 AND NOT held"
                db.execute(f"UPDATE notices SET due = ? WHERE {put_off}", (now, route))
            for notice in notices:
                done = sorted({*notice.done, *delivered})
                if len(done) >= asked:
                    change = "state = 'sent', sent_at = ?, error = NULL, done = ?"
                    values: tuple = (now, json.dumps(done))
                else:
                    state = "failed" if notice.attempts + 1 >= self.configuration.delivery.attempts else "waiting"
                    change = f"state = '{state}', due = ?, error = ?, done = ?"
                    values = (now + self._pause(notice.attempts + 1), error, json.dumps(done))
                db.execute(f"UPDATE notices SET {change}, leased_until = 0 WHERE id = ?", (*values, notice.id))

    def drop(self, keep: Sequence[str]) -> None:
        """Forget what waits for routes that have no address, or are gone from alerts.yaml."""
        marks = ", ".join("?" * len(keep))
        with changing(self.desk.path) as db:
            db.execute(f"UPDATE notices SET state = 'dropped' WHERE state = 'waiting' AND route NOT IN ({marks})", keep)

    def tidy(self) -> None:
        """Delete what is old: notices that no longer wait, alerts that are resolved, silences that are over."""
        now = self.desk.clock().timestamp()
        before = now - self.configuration.keep_days * 86400
        with changing(self.desk.path) as db:
            # The newest notice of an open alert says what was told last: without it, it would be told anew.
            told = "state != 'dropped' AND key IN (SELECT key FROM alerts WHERE is_open)"
            kept = f"SELECT max(id) FROM notices WHERE {told} GROUP BY key, route"
            old = "state != 'waiting' AND created < ?"
            db.execute(f"DELETE FROM notices WHERE {old} AND id NOT IN ({kept})", (before,))
            db.execute("DELETE FROM alerts WHERE NOT is_open AND resolved_at < ?", (before,))
            db.execute("DELETE FROM silences WHERE until < ?", (now,))

    # ---- within a transaction -------------------------------------------------------------------------------------

    def _hold(self, db: sqlite3.Connection, route: str, settings: Route, now: float) -> None:
        """In quiet hours, everything but critical waits for their end."""
        if (end := quiet_until(settings.quiet, datetime.fromtimestamp(now, UTC))) is None:
            return
        db.execute(
            "UPDATE notices SET due = ?, held = 1 WHERE route = ? AND state = 'waiting' AND severity != 'critical'"
            " AND due < ? AND leased_until <= ?",
            (end.timestamp(), route, end.timestamp(), now),
        )

    def _choose(self, db: sqlite3.Connection, route: str, settings: Route, now: float) -> list[Notice]:
        self._give_up(db, route, now)
        rows = db.execute(
            f"SELECT {_COLUMNS}, leased_until FROM notices WHERE route = ? AND state = 'waiting' ORDER BY id", (route,)
        ).fetchall()
        rests = now < float(fact(db, FAILED_AT + route) or 0) + REST_S
        due, blocked = [], set()
        for row in rows:
            # In order for each alert: "resolved" must not overtake the "fired" that is being tried again.
            waits = row["due"] > now or row["leased_until"] > now or (rests and not row["attempts"])
            if not waits and row["key"] not in blocked:
                due.append(notice := _notice(row))
                waits = bool(notice.done)
            if waits:
                blocked.add(row["key"])
        fresh = [notice for notice in due if not notice.done]
        for critical in (True, False):
            group = sorted(
                (notice for notice in fresh if (notice.severity == "critical") == critical),
                key=lambda notice: (-rank(notice.severity), notice.id),
            )
            if held := [notice for notice in group if notice.held]:
                return held
            left = settings.limit.messages - self._sent(db, route, critical, now - settings.limit.minutes * 60)
            if group and left == 1:
                return group
            if group and left > 1:
                return [self._first_of_its_key(group)]
        # Some addresses have these already: each goes alone, and after the news, since the others may be dead for long.
        return [notice for notice in due if notice.done][:1]

    @staticmethod
    def _first_of_its_key(group: Sequence[Notice]) -> Notice:
        """The most severe one's alert, and of that what was noted first."""
        return min((notice for notice in group if notice.key == group[0].key), key=lambda notice: notice.id)

    def _give_up(self, db: sqlite3.Connection, route: str, now: float) -> None:
        """What was taken as often as may be, and never marked: each time its process died."""
        db.execute(
            "UPDATE notices SET state = 'failed', error = 'its process died each time'"
            " WHERE route = ? AND state = 'waiting' AND attempts >= ? AND leased_until <= ?",
            (route, self.configuration.delivery.attempts, now),
        )

    def _sent(self, db: sqlite3.Connection, route: str, critical: bool, since: float) -> int:
        """Messages, not notices."""
        return db.execute(
            "SELECT count(DISTINCT batch) FROM notices WHERE route = ? AND state = 'sent' AND sent_at > ?"
            " AND (severity = 'critical') = ?",
            (route, since, critical),
        ).fetchone()[0]

    def _pause(self, attempts: int) -> float:
        """Seconds before the next attempt: doubled each time."""
        return min(self.configuration.delivery.first_retry_seconds * 2 ** (attempts - 1), self._longest_s)

    @property
    def _longest_s(self) -> float:
        """The longest that a notice may wait for its next attempt."""
        return self.configuration.delivery.longest_retry_minutes * 60

    @property
    def _lease_s(self) -> float:
        return self.configuration.delivery.timeout_seconds + LEASE_MARGIN_S


def _notice(row: sqlite3.Row) -> Notice:
    values = {name: row[name] for name in Notice.__struct_fields__}
    values |= {"held": bool(row["held"]), "done": tuple(json.loads(row["done"]))}
    return msgspec.convert(values, Notice)

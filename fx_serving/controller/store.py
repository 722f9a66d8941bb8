"""Rollouts, audit trail and deployed versions in SQLite. A state change and its audit record commit together.

WAL with synchronous=FULL: what is committed survives a power cut, and only then is a routing table published.
Each audit record carries the hash of the one before it, so that a record changed or removed later shows.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fx_serving.client.rollout_log import GENESIS, chain_hash, first_broken
from fx_serving.controller.rollout import FINISHED, Event, Rollout

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rollouts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    request_id TEXT UNIQUE, created_at TEXT NOT NULL, finished_at TEXT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deployed (
    model TEXT PRIMARY KEY, version TEXT NOT NULL, rollout_id TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, rollout_id TEXT NOT NULL, model TEXT NOT NULL,
    what TEXT NOT NULL, why TEXT NOT NULL, state TEXT NOT NULL, weight REAL NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS generation (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO generation VALUES (1, 0);
"""
# At most one unfinished rollout per model, whatever the code above does.
_ONE_ACTIVE = (
    "CREATE UNIQUE INDEX IF NOT EXISTS one_active ON rollouts (model) WHERE state NOT IN "
    "('succeeded', 'rolled_back', 'failed', 'aborted')"
)


class Store:
    """The database of one home. Used from one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute(_ONE_ACTIVE)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def save(
        self, rollout: Rollout, events: tuple[Event, ...], deploy: str | None = None, undeploy: bool = False
    ) -> None:
        """Commit a rollout, its new events as audit records, what it does to the deployed version, a new
        generation.

        deploy: the version that is now the model's blue. undeploy: the model has no blue any more.
        """
        now = datetime.now(UTC).isoformat()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(
                "INSERT INTO rollouts VALUES (?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET "
                "state=excluded.state, finished_at=excluded.finished_at, body=excluded.body",
                (
                    rollout.id,
                    rollout.model,
                    rollout.version,
                    rollout.state,
                    rollout.request_id,
                    rollout.created_at.isoformat(),
                    rollout.finished_at.isoformat() if rollout.finished_at else None,
                    msgspec.json.encode(rollout).decode(),
                ),
            )
            for event in events:
                self._audit(rollout, event)
            if deploy is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO deployed VALUES (?,?,?,?)",
                    (rollout.model, deploy, rollout.id, now),
                )
            if undeploy:
                self._db.execute("DELETE FROM deployed WHERE model=?", (rollout.model,))
            self._db.execute("UPDATE generation SET value = value + 1")
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _audit(self, rollout: Rollout, event: Event) -> None:
        last = self._db.execute("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        previous = last[0] if last else GENESIS
        fields = (
            event.at.isoformat(),
            rollout.id,
            rollout.model,
            event.what,
            event.why,
            rollout.state,
            float(rollout.weight),
        )
        self._db.execute(
            "INSERT INTO audit (at, rollout_id, model, what, why, state, weight, previous, hash) "
            "VALUES (?,?,?,?,?,?,?,?,?)",
            (*fields, previous, chain_hash(previous, fields)),
        )

    def bump(self) -> None:
        """A new generation without a change of rollouts (workers must confirm anew)."""
        self._db.execute("UPDATE generation SET value = value + 1")

    def generation(self) -> int:
        """Rises with every commit."""
        return int(self._db.execute("SELECT value FROM generation").fetchone()[0])

    def deployed(self) -> dict[str, str]:
        """model -> its blue version."""
        return dict(self._db.execute("SELECT model, version FROM deployed ORDER BY model").fetchall())

    def active(self) -> list[Rollout]:
        """Unfinished rollouts, oldest first."""
        marks = ",".join("?" * len(FINISHED))
        return self._rollouts(f"WHERE state NOT IN ({marks}) ORDER BY created_at", tuple(FINISHED))

    def all(self, limit: int = 500) -> list[Rollout]:
        """Rollouts, newest first."""
        return self._rollouts("ORDER BY created_at DESC LIMIT ?", (limit,))

    def get(self, id: str) -> Rollout | None:
        """One rollout."""
        return next(iter(self._rollouts("WHERE id=?", (id,))), None)

    def by_request(self, request_id: str) -> Rollout | None:
        """The rollout that a request id began."""
        return next(iter(self._rollouts("WHERE request_id=?", (request_id,))), None)

    def _rollouts(self, where: str, values: tuple) -> list[Rollout]:
        rows = self._db.execute(f"SELECT body FROM rollouts {where}", values).fetchall()
        return [msgspec.json.decode(body, type=Rollout) for (body,) in rows]

    def broken_audit(self) -> int | None:
        """The sequence number of the first audit record that does not follow from the one before; None if all
        do.
        """
        return first_broken(self._db)

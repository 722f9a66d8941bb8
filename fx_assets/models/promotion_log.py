"""The record of every change of a champion: who, why, from which version to which. SQLite, hash-chained, append-only.

Each change is written twice: what is meant, before anything moves, and how it ended. A process killed in between
leaves the first alone, and whoever looks next under the lock writes the end from what the registry says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fx_assets.errors import StoreError
from fx_serving.client.rollout_log import GENESIS, chain_hash

Action = Literal["promote", "reject", "rollback", "retire"]
Outcome = Literal["meant", "done", "undone"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, change INTEGER NOT NULL, model TEXT NOT NULL,
    action TEXT NOT NULL, version TEXT NOT NULL, previous TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
    outcome TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL);
"""
_COLUMNS = "at, change, model, action, version, previous, reason, actor, outcome"


@dataclass(frozen=True)
class Change:
    """One change of a champion, as far as it is known.

    version: the champion it makes (of a rejection: the version rejected; of a retirement: empty); previous: the
    champion before it, None where there was none. outcome: meant (a process died or still works on it), done, or
    undone (it died before anything moved).
    """

    number: int
    at: datetime
    model: str
    action: Action
    version: str
    previous: str | None
    reason: str
    actor: str
    outcome: Outcome

    @property
    def moves(self) -> bool:
        """Whether it was to move the champion."""
        return self.action != "reject"


class PromotionLog:
    """The log of one home. Opened for one change or one look; callers hold the model's lock while they write."""

    def __init__(self, home: Path) -> None:
        self._path = home / "mlflow" / "promotions.db"

    def mean(self, model: str, action: Action, version: str, previous: str | None, reason: str, actor: str) -> Change:
        """Write what is meant; durable when this returns."""
        with self._open() as db:
            (last,) = db.execute("SELECT coalesce(max(change), 0) FROM audit").fetchone()
            change = Change(last + 1, _now(), model, action, version, previous, reason, actor, "meant")
            self._append(db, change)
        return change

    def end(self, change: Change, outcome: Outcome) -> Change:
        """Write how a change ended."""
        ended = Change(**{**change.__dict__, "at": _now(), "outcome": outcome})
        with self._open() as db:
            self._append(db, ended)
        return ended

    def changes(self, model: str | None = None) -> list[Change]:
        """Every change, oldest first, each as it stands now; of one model or of all. Raises StoreError."""
        if not self._path.is_file():
            return []
        with self._open() as db:
            found: dict[int, Change] = {}
            for row in db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"):
                change = _change(row)
                if model in (None, change.model):
                    found[change.number] = change
        return list(found.values())

    def first_broken(self) -> int | None:
        """The number of the first line that does not follow from the one before; None if all do."""
        if not self._path.is_file():
            return None
        previous, expected = GENESIS, 1
        with self._open() as db:
            for seq, *fields, before, digest in db.execute(f"SELECT seq, {_COLUMNS}, before, hash FROM audit"):
                if seq != expected or before != previous or digest != chain_hash(previous, tuple(fields)):
                    return int(seq)
                previous, expected = digest, seq + 1
        return None

    def _append(self, db: sqlite3.Connection, change: Change) -> None:
        fields = (
            change.at.isoformat(),
            change.number,
            change.model,
            change.action,
            change.version,
            change.previous or "",
            change.reason,
            change.actor,
            change.outcome,
        )
        last = db.execute("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        before = last[0] if last else GENESIS
        marks = ", ".join("?" * (len(fields) + 2))
        db.execute(
            f"INSERT INTO audit ({_COLUMNS}, before, hash) VALUES ({marks})",
            (*fields, before, chain_hash(before, fields)),
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when it ends."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=30)) as db:
                db.execute("PRAGMA synchronous=FULL")
                db.execute(_SCHEMA)
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: {error}. Nothing was changed after the last line in it. Check the disk and the file's "
                "permissions, or restore it from a backup."
            ) from None


def _change(row: tuple) -> Change:
    at, number, model, action, version, previous, reason, actor, outcome = row
    return Change(number, datetime.fromisoformat(at), model, action, version, previous or None, reason, actor, outcome)


def _now() -> datetime:
    return datetime.now(UTC)

"""The database behind the desk: monitoring/alerts.db. One transaction per change; any number of processes.

WAL and synchronous FULL: what a transaction recorded survives kill -9 and a power cut. Times are seconds since 1970 by
the wall clock: people are told in real time, whatever the data clock says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fx_serving.client.wal import use_wal

VERSION = 1
BUSY_S = 10.0
FAILED_AT = "failed_at/"  # and the route: the fact of when a message last reached nobody
_SCHEMA = """
CREATE TABLE alerts (
    key TEXT PRIMARY KEY, severity TEXT NOT NULL, owner TEXT NOT NULL, title TEXT NOT NULL, detail TEXT NOT NULL,
    link TEXT NOT NULL, remedy TEXT NOT NULL, is_open INTEGER NOT NULL, first_seen REAL NOT NULL,
    last_seen REAL NOT NULL, count INTEGER NOT NULL, acked_by TEXT, resolved_at REAL, why TEXT
);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, route TEXT NOT NULL, kind TEXT NOT NULL,
    severity TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, link TEXT NOT NULL, created REAL NOT NULL,
    due REAL NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0, leased_until REAL NOT NULL DEFAULT 0, done TEXT NOT NULL DEFAULT '[]',
    batch TEXT, sent_at REAL, error TEXT
);
CREATE INDEX notices_of_key ON notices (key, route, id);
CREATE INDEX notices_waiting ON notices (route, due) WHERE state = 'waiting';
CREATE INDEX notices_sent ON notices (route, sent_at) WHERE state = 'sent';
CREATE TABLE silences (
    pattern TEXT PRIMARY KEY, until REAL NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """One change: committed whole at the end, or not at all. Makes the database where there is none."""
    with closing(_connect(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] < VERSION:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """What was committed last, without any lock a writer would wait for; None where there is no database yet."""
    if not path.is_file():
        yield None
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as db:
        db.row_factory = sqlite3.Row
        yield db if db.execute("PRAGMA user_version").fetchone()[0] >= VERSION else None


def fact(db: sqlite3.Connection, name: str) -> str | None:
    """A small thing worth remembering."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def remember(db: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a fact, in front of what was kept by that name."""
    db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        use_wal(db, BUSY_S)
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db

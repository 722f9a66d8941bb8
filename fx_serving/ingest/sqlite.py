"""predictions.db of a home. What a power cut takes from it is ingested again: the segments are the durable copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fx_serving.client.wal import use_wal
from fx_serving.ingest.tables import SCHEMA, Database, DatabaseError, Refused, Run

_WAIT_S = 10.0

_PAGES = 256
_STEPS = 20


class SqliteDatabase(Database):
    """The file at `path`, made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, isolation_level=None, timeout=_WAIT_S, check_same_thread=False)
        try:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table
            use_wal(db, _WAIT_S)
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                db.execute(statement.format(blob="BLOB"))
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """See Database."""
        try:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            yield lambda sql, values=(): db.execute(sql, values).fetchall()
            db.execute("COMMIT")
        except BaseException as error:
            if self._db is not None and self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError)):
                raise Refused(str(error)) from None
            if isinstance(error, (sqlite3.Error, OSError)):
                self.close()
                raise DatabaseError(f"{self.path}: {error}") from None
            raise

    def insert(self, run: Run, head: str, rows: Sequence[tuple], rest: str) -> None:
        """See Database."""
        assert self._db is not None  # inside a transaction
        if rows:
            self._db.executemany(f"{head} VALUES ({', '.join('?' * len(rows[0]))}) {rest}", rows)

    def tidy(self) -> None:
        """In small steps, so that a reader or the next batch waits for milliseconds only."""
        try:
            db = self._open()
            for _ in range(_STEPS):
                if db.execute("PRAGMA freelist_count").fetchone()[0] == 0:
                    return
                db.executescript(f"PRAGMA incremental_vacuum({_PAGES});")  # execute() frees one page only
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(f"{self.path}: {error}") from None

    def close(self) -> None:
        """See Database."""
        if self._db is not None:
            self._db.close()
            self._db = None

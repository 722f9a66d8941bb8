"""The state in one SQLite file of the home: WAL with synchronous=FULL, so what is committed survives a power cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fx_serving.client.wal import use_wal
from fx_serving.state.base import Conflict, StateError
from fx_serving.state.schema import Run
from fx_serving.state.sql import SqlState

_WAIT_S = 10.0


class SqliteState(SqlState):
    """The database file at `where`, made or brought up to date where needed.

    head: where the newest audit record is noted (None: nowhere). clock: instead of the wall clock, for leases.
    durable=False leaves out the fsync of each commit (simulations).
    """

    kind = "sqlite"

    def __init__(
        self, where: Path, head: Path | None = None, clock: Callable[[], float] | None = None, durable: bool = True
    ) -> None:
        super().__init__(Path(where), head)
        self._clock, self._durable = clock, durable
        self._db: sqlite3.Connection | None = None
        with self._lock:
            self._open()

    def _open(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        db = None
        try:
            Path(self.where).parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.where, isolation_level=None, timeout=_WAIT_S, check_same_thread=False)
            use_wal(db, _WAIT_S)
            db.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
        except (sqlite3.Error, OSError) as error:
            if db is not None:
                db.close()
            raise self._failed(error) from None
        self._db = db
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @contextmanager
    def _writing(self) -> Iterator[Run]:
        yield from self._transaction("BEGIN IMMEDIATE")

    _making = _writing

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        yield from self._transaction("BEGIN")

    def _transaction(self, begin: str) -> Iterator[Run]:
        db = self._open()
        try:
            db.execute(begin)
            yield lambda sql, values=(): db.execute(sql, values).fetchall()
            db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise conflict(str(error)) from None
            if isinstance(error, sqlite3.Error):
                raise self._failed(error) from None
            raise

    def _now(self, run: Run) -> float:
        if self._clock is not None:
            return self._clock()
        return float(run("SELECT (julianday('now') - 2440587.5) * 86400.0")[0][0])

    def _failed(self, error: Exception) -> StateError:
        return StateError(
            f"{self.where}: cannot be used: {error}. Check the disk's space and the folder's rights; "
            "a damaged file is restored from a backup."
        )


def conflict(text: str) -> Conflict:
    """A broken uniqueness rule in words."""
    if "request_id" in text:
        return Conflict("request", "request_id: belongs to another rollout; nothing was written")
    return Conflict("running", "model: another rollout of it is running; nothing was written")

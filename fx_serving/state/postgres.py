"""The state in a PostgreSQL, for several hosts: the same tables in a schema of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fx_serving.client.state_address import LOCK, StateAddressError, connect, words
from fx_serving.client.state_address import SCHEMA as NAMESPACE
from fx_serving.state.base import StateError
from fx_serving.state.schema import Run
from fx_serving.state.sql import SqlState
from fx_serving.state.sqlite import conflict

_UNSURE_S = 10.0


class PostgresState(SqlState):
    """The database at an address. A lost connection is made again by the next call."""

    kind = "postgresql"
    locking = " FOR UPDATE"

    def __init__(self, where: str, head: Path | None = None) -> None:
        super().__init__(where, head)
        self._db: Any = None
        with self._lock:
            self._open()

    def _open(self) -> Any:
        if self._db is not None and not self._db.closed:
            return self._db
        try:
            self._db = connect(str(self.where))
        except StateAddressError as error:
            raise StateError(str(error)) from None
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise
        return self._db

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._db is not None:
                self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[Run]:
        with self._transaction("BEGIN", sure=True) as run:
            # Writers follow each other, so that the audit trail has one end and the term cannot change meanwhile.
            run("SELECT value FROM generation WHERE one = 1 FOR UPDATE")
            yield run

    @contextmanager
    def _making(self) -> Iterator[Run]:
        try:
            with self._transaction("BEGIN") as run:
                run(LOCK)
                if run(f"SELECT to_regnamespace('{NAMESPACE}') IS NULL")[0][0]:
                    run(f"CREATE SCHEMA {NAMESPACE}")
                yield run
        except StateError as error:
            raise StateError(
                f"{error}; the account must be allowed to make the schema {NAMESPACE} and its tables"
            ) from None

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as run:
            yield run

    @contextmanager
    def _transaction(self, begin: str, sure: bool = False) -> Iterator[Run]:
        import psycopg2

        db = self._open()
        transaction, committing = None, False

        def run(sql: str, values: tuple = ()) -> list[tuple]:
            with db.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), values)
                return [] if cursor.description is None else cursor.fetchall()

        try:
            run(begin)
            yield run
            if sure:
                transaction = run("SELECT txid_current()")[0][0]
            committing = True
            run("COMMIT")
        except BaseException as error:
            self._give_up()
            if isinstance(error, psycopg2.IntegrityError):
                raise conflict(str(error)) from None
            if not isinstance(error, psycopg2.Error):
                raise
            if committing and transaction is not None and self._was_committed(transaction):
                return
            raise StateError(f"FX_STATE_URL: {words(error)}; nothing was written") from None

    def _give_up(self) -> None:
        """Roll back; a connection that cannot is closed."""
        import psycopg2

        try:
            with self._db.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            with suppress(psycopg2.Error):
                self._db.close()

    def _was_committed(self, transaction: int) -> bool:
        """What became of a COMMIT whose answer was lost: asked of the database itself. Raises StateError."""
        import psycopg2

        until = time.monotonic() + _UNSURE_S
        while time.monotonic() < until:
            with suppress(StateError, psycopg2.Error):
                with self._open().cursor() as cursor:
                    cursor.execute("SELECT txid_status(%s)", (transaction,))
                    outcome = cursor.fetchone()[0]
                if outcome != "in progress":
                    return outcome == "committed"
            time.sleep(0.1)
        raise StateError("FX_STATE_URL: the connection broke while a change was committed; whether it holds is unknown")

    def _now(self, run: Run) -> float:
        return float(run("SELECT extract(epoch FROM clock_timestamp())")[0][0])

"""The same tables in the PostgreSQL of FX_STATE_URL, beside the controller's state. Several hosts may write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from fx_serving.client.state_address import LOCK, StateAddressError, connect, words
from fx_serving.client.state_address import SCHEMA as NAMESPACE
from fx_serving.ingest.tables import SCHEMA, VERSION, Database, DatabaseError, Refused, Run


class PostgresDatabase(Database):
    """The database at an address. A lost connection is made again by the next transaction."""

    locking = " FOR UPDATE"

    def __init__(self, address: str) -> None:
        self._address = address
        self._db: Any = None

    def _open(self) -> Any:
        if self._db is None or self._db.closed:
            self._db = connect(self._address)
            try:
                self._make_tables()
            except BaseException:
                self.close()
                raise
        return self._db

    def _make_tables(self) -> None:
        with self._db.cursor() as cursor:
            cursor.execute("SELECT to_regclass('meta') IS NOT NULL")
            if cursor.fetchone()[0]:
                cursor.execute("SELECT value FROM meta WHERE key = 'predictions'")
                if cursor.fetchone() == (str(VERSION),):
                    return
            cursor.execute("BEGIN")
            cursor.execute(LOCK)
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}")
            for statement in SCHEMA:
                cursor.execute(statement.format(blob="BYTEA"))
            cursor.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """See Database."""
        try:
            import psycopg2

            db = self._open()
        except StateAddressError as error:
            raise DatabaseError(str(error)) from None
        except ImportError:
            raise DatabaseError("FX_STATE_URL: names a PostgreSQL, but psycopg2 is not installed") from None
        except psycopg2.Error as error:
            raise DatabaseError(f"FX_STATE_URL: {words(error)}") from None

        def run(sql: str, values: tuple = ()) -> list[tuple]:
            with db.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), values)
                return [] if cursor.description is None else cursor.fetchall()

        try:
            run("BEGIN")
            yield run
            run("COMMIT")
        except BaseException as error:
            try:
                run("ROLLBACK")
            except psycopg2.Error:
                self.close()
            if isinstance(error, (psycopg2.IntegrityError, psycopg2.DataError, psycopg2.ProgrammingError)):
                raise Refused(words(error)) from None
            if isinstance(error, psycopg2.Error):
                raise DatabaseError(f"FX_STATE_URL: {words(error)}") from None
            raise

    def insert(self, run: Run, head: str, rows: Sequence[tuple], rest: str) -> None:
        """See Database."""
        from psycopg2.extras import execute_values

        if rows:
            with self._db.cursor() as cursor:
                execute_values(cursor, f"{head} VALUES %s {rest}", rows, page_size=500)

    def tidy(self) -> None:
        """The server does it by itself."""

    def close(self) -> None:
        """See Database."""
        if self._db is not None:
            with suppress(Exception):
                self._db.close()
            self._db = None

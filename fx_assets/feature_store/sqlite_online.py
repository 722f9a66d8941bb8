"""The guarded SQLite online store: Feast's tables, written in one transaction that looks before it replaces.

Feast's own upsert lets an old row replace a newer one, and keeps whole seconds in local time: rows written here carry
the exact UTC time beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from fx_assets.errors import StoreError
from fx_assets.feature_store.encoding import MICROSECONDS, PROJECT, Batch, Stored, entity_key
from fx_serving.client.wal import use_wal

EXACT = "event_us"  # our column: event time in microseconds since 1970, UTC
WAIT_S = 30.0  # for another writer's transaction
AT_ONCE = 500  # keys in one statement


class SqliteOnline:
    """The online store in one file. Safe for several processes."""

    kind = "sqlite"

    def __init__(self, path: Path):
        self.path = path

    @property
    def where(self) -> str:
        """The file, as people are told."""
        return str(self.path)

    def ping(self) -> None:
        """Raises StoreError unless the file is there and is a database."""
        if not self.path.exists():
            raise StoreError(f"online store {self.path}: not made yet. Materialize feature_registry, online_features.")
        with self._open() as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def write(self, view: str, batch: Batch) -> int:
        """Write the newest row of each key unless a newer one is stored; returns how many rows were written.

        A row replaces the stored one whole. Raises StoreError for a view that was never registered.
        """
        newest = batch.newest()
        with self._open() as connection:
            use_wal(connection, WAIT_S)  # readers do not wait for the writer
            connection.execute("BEGIN IMMEDIATE")  # from here to COMMIT nobody else writes
            try:
                self._prepare(connection, view)
                known = self._times(connection, view, newest.keys)
                fresh = [n for n, key in enumerate(newest.keys) if newest.times[n] >= known.get(key, 0)]
                self._replace(connection, view, newest, fresh)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return len(fresh)

    def times(self, view: str, instruments: Sequence[str]) -> list[int | None]:
        """Event times of the stored rows, microseconds since 1970; None where nothing is stored."""
        keys = [entity_key(symbol) for symbol in instruments]
        if not self.path.exists():
            return [None] * len(keys)
        with self._open() as connection:
            known = self._times(connection, view, keys)
        return [known.get(key) for key in keys]

    def read(self, view: str, keys: Sequence[bytes], names: Sequence[str]) -> list[Stored | None]:
        """(event time, Values by feature) of each key, of one moment and any age; None where nothing is stored."""
        found: dict[bytes, Stored] = {}
        wanted = set(names)
        with self._open() as connection:
            exact = EXACT if EXACT in _columns(connection, view) else "NULL"
            for chunk in _chunks(keys):
                sql = (
                    f"SELECT entity_key, feature_name, value, event_ts, {exact} FROM {_table(view)} WHERE {chunk.test}"
                )
                for key, name, value, seconds, us in connection.execute(sql, chunk.keys):
                    time, values = found.get(key, (0, {}))
                    if name in wanted:
                        values[name] = value
                    found[key] = (max(time, _micros(seconds, us)), values)
        return [found.get(key) for key in keys]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except sqlite3.Error as error:
            told = "Materialize feature_registry first" if "no such table" in str(error) else "Mend or remove the file"
            raise StoreError(f"online store {self.path}: {error}. {told}, then materialize online_features.") from None

    def _prepare(self, connection: sqlite3.Connection, view: str) -> None:
        columns = _columns(connection, view)
        if columns and EXACT not in columns:
            connection.execute(f"ALTER TABLE {_table(view)} ADD COLUMN {EXACT} INTEGER")

    def _times(self, connection: sqlite3.Connection, view: str, keys: Sequence[bytes]) -> dict[bytes, int]:
        columns, known = _columns(connection, view), {}
        exact = f"max({EXACT})" if EXACT in columns else "NULL"
        for chunk in _chunks(keys):
            sql = (
                f"SELECT entity_key, max(event_ts), {exact} FROM {_table(view)} WHERE {chunk.test} GROUP BY entity_key"
            )
            known |= {key: _micros(seconds, us) for key, seconds, us in connection.execute(sql, chunk.keys)}
        return known

    def _replace(self, connection: sqlite3.Connection, view: str, batch: Batch, rows: Sequence[int]) -> None:
        for chunk in _chunks([batch.keys[n] for n in rows]):
            connection.execute(f"DELETE FROM {_table(view)} WHERE {chunk.test}", chunk.keys)
        connection.executemany(
            f"INSERT INTO {_table(view)} (entity_key, feature_name, value, event_ts, {EXACT}) VALUES (?, ?, ?, ?, ?)",
            (
                (batch.keys[n], name, value, batch.times[n] // MICROSECONDS, batch.times[n])
                for n in rows
                for name, value in zip(batch.names, batch.values[n], strict=True)
            ),
        )


class _Chunk:
    """Some keys, and the condition that chooses their rows."""

    def __init__(self, keys: Sequence[bytes]):
        self.keys = list(keys)
        self.test = f"entity_key IN ({','.join('?' * len(keys))})"


def _chunks(keys: Sequence[bytes]) -> Iterator[_Chunk]:
    for start in range(0, len(keys), AT_ONCE):
        yield _Chunk(keys[start : start + AT_ONCE])


def _table(view: str) -> str:
    name = f"{PROJECT}_{view}".replace('"', '""')
    return f'"{name}"'


def _columns(connection: sqlite3.Connection, view: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({_table(view)})")}


def _micros(seconds: int, exact: int | None) -> int:
    """The exact time, unless another writer has moved the seconds since."""
    return exact if exact is not None and exact // MICROSECONDS == seconds else seconds * MICROSECONDS

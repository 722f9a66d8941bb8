"""Dagster's SQLite event store, kept open while a process executes runs.

Dagster opens and closes both of its files for every event: SQLAlchemy compiles each statement anew, and SQLite copies
its write-ahead log back and removes it, because the last connection has gone. Kept open, an event costs a quarter of
that. What is stored, and that a commit is on the disk before the run goes on, stays as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dagster as dg

_BUSY_TIMEOUT_S = 30  # to wait for another process that writes


@contextlib.contextmanager
def kept_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the event store of an instance open meanwhile; nothing happens where it is not Dagster's own SQLite one."""
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

    storage = instance.event_log_storage
    legacy = getattr(storage, "_storage", None)
    if isinstance(legacy, DagsterSqliteStorage):
        storage = legacy.event_log_storage
    if type(storage) is not SqliteEventLogStorage or not hasattr(storage, "_connect"):
        yield
        return
    with _Connections(storage):
        yield


class _Connections:
    """One engine with one connection for each file of a store, in place of its `_connect`."""

    def __init__(self, storage: Any):
        self._storage = storage
        self._opened_once = storage._connect
        self._engines: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._storage._connect = self._connect

    def __exit__(self, *_: object) -> None:
        del self._storage._connect
        with self._storage._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[Any]:
        """As the store's own; the first time, that one creates the file's tables where they are missing."""
        if shard not in self._storage._initialized_dbs:
            with self._opened_once(shard):
                pass
        with self._storage._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Any:
        import sqlalchemy

        if shard not in self._engines:
            self._engines[shard] = sqlalchemy.create_engine(
                self._storage.conn_string_for_shard(shard),
                poolclass=sqlalchemy.pool.QueuePool,
                pool_size=1,  # the store's lock lets one in at a time
                connect_args={"timeout": _BUSY_TIMEOUT_S},
            )
        return self._engines[shard]

"""Feast's SQLite online store with the guard: what Feast itself writes (push, materialize) goes through it too.

Feast loads this module by its name in the store's configuration; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feast.infra.key_encoding_utils import serialize_entity_key  # noqa: TID253
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig  # noqa: TID253
from feast.protos.feast.types.Value_pb2 import Value  # noqa: TID253
from pydantic import StrictStr

from fx_assets.feature_store.encoding import Batch
from fx_assets.feature_store.lifetime import EPOCH, age_of, expired
from fx_assets.feature_store.sqlite_online import SqliteOnline


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """type: the store's name, as Feast asks for it. path: the database file."""

    type: StrictStr = "fx_assets.feature_store.feast_sqlite.GuardedSqliteOnlineStore"  # type: ignore[assignment]


class GuardedSqliteOnlineStore(SqliteOnlineStore):
    """Writes and reads through SqliteOnline; tables are made and dropped by Feast."""

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Callable[[int], Any] | None) -> None:
        """Feast's interface: (entity key, values, event time, created) rows of one view."""
        store = SqliteOnline(Path(self._get_db_path(config)))
        for batch in batches(config, data):
            store.write(table.name, batch)
        if progress:
            progress(len(data))

    def online_read(
        self, config: Any, table: Any, entity_keys: list[Any], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """Feast's interface: (event time, values) of each entity key; None, None where nothing is stored.

        The values of a row that may not be predicted with (see lifetime) are missing.
        """
        names = requested_features or [field.name for field in table.features]
        store = SqliteOnline(Path(self._get_db_path(config)))
        keys = [serialize_entity_key(key, config.entity_key_serialization_version) for key in entity_keys]
        answer: list[tuple[datetime | None, dict[str, Any] | None]] = []
        for stored in store.read(table.name, keys, names):
            if stored is None:
                answer.append((None, None))
            else:
                time, found = stored
                late = expired(age_of(time), table.ttl)
                values = {name: Value() if late else Value.FromString(content) for name, content in found.items()}
                answer.append((EPOCH + timedelta(microseconds=time), values))
        return answer


def batches(config: Any, data: Iterable[tuple[Any, dict[str, Any], datetime, datetime | None]]) -> Iterable[Batch]:
    """Feast's rows as batches: rows that have the same features together, in order."""
    rows: dict[tuple[str, ...], list[tuple[bytes, int, list[bytes]]]] = {}
    for entity_key, values, time, _ in data:
        key = serialize_entity_key(entity_key, config.entity_key_serialization_version)
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        content = [value.SerializeToString() for value in values.values()]
        rows.setdefault(tuple(values), []).append((key, (aware - EPOCH) // timedelta(microseconds=1), content))
    for names, found in rows.items():
        keys, times, contents = zip(*found, strict=True)
        yield Batch(keys, times, names, contents)

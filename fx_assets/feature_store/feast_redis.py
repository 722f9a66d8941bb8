"""Feast's Redis online store with the guard, connected by FX_REDIS_URL, so that no configuration holds a password.

Feast loads this module by its name in the store's configuration; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig  # noqa: TID253
from feast.protos.feast.types.Value_pb2 import Value  # noqa: TID253
from pydantic import StrictStr

from fx_assets.feature_store.encoding import micros
from fx_assets.feature_store.feast_sqlite import batches
from fx_assets.feature_store.lifetime import age_of, expired
from fx_assets.feature_store.redis_online import RedisOnline, connect


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """type: the store's name, as Feast asks for it. The address is not configured here but in FX_REDIS_URL."""

    type: StrictStr = "fx_assets.feature_store.feast_redis.GuardedRedisOnlineStore"  # type: ignore[assignment]
    connection_string: Literal["FX_REDIS_URL"] = "FX_REDIS_URL"  # type: ignore[assignment]


class GuardedRedisOnlineStore(RedisOnlineStore):
    """Writes through RedisOnline; reads as Feast does, over the same connection, but for rows that may not be predicted
    with (see lifetime): their values are missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lifetimes: dict[str, timedelta | None] = {}

    def _get_client(self, online_store_config: Any) -> Any:
        if self._client is None:
            self._client = connect()
        return self._client

    async def _get_client_async(self, online_store_config: Any) -> Any:
        if self._client_async is None:
            self._client_async = connect(asynchronous=True)
        return self._client_async

    # Every way in which Feast reads, one view or many, awaited or not, asks the first of these two what to fetch of a
    # view, and gives the second what was fetched.

    def _generate_hset_keys_for_features(
        self, feature_view: Any, requested_features: list[str] | None = None, fv_name_override: str | None = None
    ) -> Any:
        self._lifetimes[fv_name_override or feature_view.name] = feature_view.ttl
        return super()._generate_hset_keys_for_features(feature_view, requested_features, fv_name_override)

    def _convert_redis_values_to_protobuf(
        self, redis_values: Sequence[Sequence[Any]], feature_view: str, requested_features: list[str]
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        answer = super()._convert_redis_values_to_protobuf(redis_values, feature_view, requested_features)
        for row, (*_, stamp) in enumerate(redis_values):
            time, found = answer[row]
            if stamp is not None and found and expired(age_of(micros(bytes(stamp))), self._lifetimes[feature_view]):
                answer[row] = (time, dict.fromkeys(found, Value()))
        return answer

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Callable[[int], Any] | None) -> None:
        """Feast's interface: (entity key, values, event time, created) rows of one view."""
        store = RedisOnline(self._get_client(config.online_store))
        for batch in batches(config, data):
            store.write(table.name, batch)
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: Any, table: Any, data: Any, progress: Callable[[int], Any] | None
    ) -> None:
        """As online_write_batch, which it calls: the guard is one round trip for two hundred rows."""
        self.online_write_batch(config, table, data, progress)

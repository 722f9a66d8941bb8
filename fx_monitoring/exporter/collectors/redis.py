"""The Redis of FX_REDIS_URL: whether it answers, and its memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from fx_assets.errors import StoreError
from fx_assets.feature_store.redis_online import VARIABLE, connect, told
from fx_monitoring.exporter.background import Collector, SourceDown
from fx_monitoring.exporter.catalogue import Sample


def build() -> Collector | None:
    """None where no Redis is in use."""
    if not os.environ.get(VARIABLE, "").strip():
        return None
    opened: list[Any] = []

    def collect() -> Iterator[Sample]:
        if not opened:
            opened.append(connect())
        client = opened[0]
        try:
            with told(client):
                memory, clients = client.info("memory"), client.info("clients")
        except StoreError as error:
            raise SourceDown(str(error), Sample("fx_redis_up", (), 0.0)) from None
        limit = memory.get("maxmemory") or memory.get("total_system_memory")
        yield Sample("fx_redis_up", (), 1.0)
        yield Sample("fx_redis_memory_used_bytes", (), float(memory["used_memory"]))
        if limit:
            yield Sample("fx_redis_memory_limit_bytes", (), float(limit))
        yield Sample("fx_redis_clients", (), float(clients["connected_clients"]))

    return Collector("redis", collect, limit_s=30)

"""Feast's online store: how long a real read of every instrument's row takes, and how old the rows are.

The store is read as the refresher reads it: Feast's own tables and keys, without Feast, whose import takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.feature_store.encoding import entity_key
from fx_assets.feature_store.lifetime import EPOCH
from fx_assets.feature_store.repository import online_store, ttls
from fx_assets.market_hours import market_hours
from fx_assets.schemas import views
from fx_monitoring.exporter.background import Collector, SourceDown
from fx_monitoring.exporter.catalogue import Sample
from fx_serving.client.clock import now
from fx_serving.client.home import Stores

LAYER = "online"


def build(stores: Stores, configuration: Configuration) -> Collector:
    """Figures of a view that nothing was written to yet are left out."""
    kind = configuration.data.feature_store.online
    symbols = sorted(configuration.instruments.instruments)
    lifetimes, names = ttls(configuration), views(configuration)
    opened: list[Any] = []

    def collect() -> Iterator[Sample]:
        if kind == "sqlite" and not (stores.home / "feast" / "online.db").is_file():
            return  # nothing was made yet
        if not opened:
            opened.append(online_store(stores.home, configuration))
        store, moment = opened[0], now()
        behind = _behind(configuration, moment)
        try:
            for view, lifetime in lifetimes.items():
                started = time.perf_counter()
                rows = store.read(view, [entity_key(symbol) for symbol in symbols], names[view])
                yield Sample("fx_online_store_read_seconds", (view,), time.perf_counter() - started)
                lags = [behind(symbol, row[0]) for symbol, row in zip(symbols, rows, strict=True) if row is not None]
                if lags:
                    yield Sample("data_freshness_hours", (LAYER, view), max(lags))
                    yield Sample("fx_data_freshness_limit_hours", (LAYER, view), lifetime / timedelta(hours=1))
        except StoreError as error:
            raise SourceDown(str(error), Sample("fx_online_store_up", (kind,), 0.0)) from None
        yield Sample("fx_online_store_up", (kind,), 1.0)

    return Collector("online_store", collect, limit_s=15)


def _behind(configuration: Configuration, moment: datetime) -> Callable[[str, int], float]:
    """behind(symbol, microseconds): trading hours since then. Most rows are of the same moment."""
    known: dict[tuple[str, int], float] = {}

    def behind(symbol: str, at: int) -> float:
        calendar = configuration.instruments.instruments[symbol].calendar
        if (calendar, at) not in known:
            open_ = market_hours(calendar).open_intervals(EPOCH + timedelta(microseconds=at), moment)
            known[calendar, at] = float((open_["close"] - open_["open"]).sum() / timedelta(hours=1))
        return known[calendar, at]

    return behind

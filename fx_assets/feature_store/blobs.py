"""The refresher: publishes what the online store holds, and the recent past, as one blob for each view and instrument.

The service reads only these blobs, so that it needs neither Feast nor a database on its request path. The newest
row is the online store's; older ones, for requests with a time stamp, come from gold/features.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from fx_assets.feature_store.online import ENTITY, read_online
from fx_assets.feature_store.repository import views
from fx_serving.client.home import Stores
from fx_serving.client.snapshot import FeatureBlob

if TYPE_CHECKING:
    from feast import FeatureStore

ROWS = 120  # five days of hourly bars


def publish_blobs(store: FeatureStore, stores: Stores, history: pd.DataFrame) -> dict[str, datetime]:
    """Write every blob; returns the newest event time by instrument.

    history: recent gold/features rows (instrument, available_at, features) of any instruments.
    """
    newest: dict[str, datetime] = {}
    instruments = sorted(history[ENTITY].unique())
    for view, names in views().items():
        online = read_online(store, view, instruments).set_index(ENTITY)
        for symbol in instruments:
            row = online.loc[symbol]
            if pd.isna(row["available_at"]):
                continue
            past = history[(history[ENTITY] == symbol) & (history["available_at"] < row["available_at"])]
            past = past.sort_values("available_at").tail(ROWS - 1)
            times = [*past["available_at"], row["available_at"]]
            values = [*past[names].to_numpy(), row[names].to_numpy("float64")]
            rows = [(t.to_pydatetime(), v.tolist()) for t, v in zip(times, values, strict=True)]
            FeatureBlob.build(view, symbol, names, rows).write(stores.features)
            newest[symbol] = row["available_at"].to_pydatetime()
    return newest

"""The refresher: publishes what the online store holds, and the recent past, as one blob for each view and instrument.

The service reads only these blobs, so that it needs neither Feast nor a database on its request path. The newest
row is the online store's; older ones, for requests with a time stamp, come from gold/features.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from fx_assets.errors import StoreError
from fx_assets.feature_store.encoding import ENTITY
from fx_assets.feature_store.online import stored_online
from fx_serving.client.blob_store import BlobStoreError, open_blobs
from fx_serving.client.home import Stores
from fx_serving.client.snapshot import FeatureBlob

if TYPE_CHECKING:
    from feast import FeatureStore

ROWS = 120  # five days of hourly bars


def publish_blobs(
    store: FeatureStore,
    stores: Stores,
    history: pd.DataFrame,
    views: Mapping[str, Sequence[str]],
    instruments: Collection[str] = (),
    code: str | None = None,
) -> dict[str, datetime]:
    """Publish every blob, and no longer those of other views; returns the newest event time by instrument.

    history: recent gold/features rows (instrument, available_at, features) of any instruments. views: features by
    view. instruments: those whose blobs of views not in `views` are removed; a shared Redis may hold other homes'.
    code: version of the code that made the rows. Raises StoreError when a store does not answer; what was published
    before stays.
    """
    newest: dict[str, datetime] = {}
    histories = {str(symbol): rows.sort_values("available_at") for symbol, rows in history.groupby(ENTITY)}
    try:
        with closing(open_blobs(stores)) as blobs:
            for view, names in views.items():
                online = stored_online(store, view, list(histories)).set_index(ENTITY)
                for symbol, past in histories.items():
                    row: Any = online.loc[symbol]
                    if pd.isna(row["available_at"]):
                        continue
                    blobs.publish(_blob(view, symbol, list(names), past, row, code))
                    newest[symbol] = row["available_at"].to_pydatetime()
            for view, symbol in blobs.scan():
                if view not in views and symbol in instruments:
                    blobs.remove(view, symbol)
    except BlobStoreError as error:
        raise StoreError(f"feature blobs: {error}") from None
    return newest


def _blob(
    view: str, symbol: str, names: list[str], past: pd.DataFrame, row: pd.Series, code: str | None
) -> FeatureBlob:
    """The online row, and the gold rows before it."""
    before = past[past["available_at"] < row["available_at"]].tail(ROWS - 1)
    times = [*before["available_at"], row["available_at"]]
    values = [*before[names].to_numpy("float64"), row[names].to_numpy("float64")]
    rows = [(time.to_pydatetime(), found.tolist()) for time, found in zip(times, values, strict=True)]
    return FeatureBlob.build(view, symbol, names, rows, code)

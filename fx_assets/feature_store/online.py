"""Writing to and reading from the online store, with the guards it does not have itself.

SQLite lets an old write replace a newer one, and no online store enforces a time to live: writers compare event
times here, readers get them with the values.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fx_assets.feature_store.repository import ENTITY, service_name, views

if TYPE_CHECKING:
    from feast import FeatureStore

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_online(store: FeatureStore, view: str, instruments: list[str]) -> pd.DataFrame:
    """instrument, available_at (NaT where nothing is stored) and the view's features as they are online."""
    names = views()[view]
    answer = store.get_online_features(
        features=[f"{view}:{name}" for name in names],
        entity_rows=[{ENTITY: symbol} for symbol in instruments],
    ).proto
    columns = list(answer.metadata.feature_names.val)
    frame = pd.DataFrame({ENTITY: instruments})
    first = answer.results[columns.index(names[0])]
    times = [stamp.ToMicroseconds() for stamp in first.event_timestamps]
    frame["available_at"] = pd.DatetimeIndex(np.array(times, dtype="datetime64[us]")).tz_localize("UTC")
    frame.loc[frame["available_at"] == EPOCH, "available_at"] = pd.NaT
    values = {
        name: [
            value.double_val if value.WhichOneof("val") == "double_val" else np.nan
            for value in answer.results[columns.index(name)].values
        ]
        for name in names
    }
    return pd.concat([frame, pd.DataFrame(values)], axis=1)


def write_newest(store: FeatureStore, view: str, rows: pd.DataFrame) -> int:
    """Write one row for each instrument unless a newer one is stored; returns how many were written.

    rows: instrument, available_at and the view's features. A row of the same event time is written again: a
    correction replaces what it corrects.
    """
    if rows.empty:
        return 0
    stored = read_online(store, view, rows[ENTITY].tolist()).set_index(ENTITY)["available_at"]
    known = rows[ENTITY].map(stored)
    fresh = rows[known.isna() | (rows["available_at"] >= known)]
    if len(fresh):
        store.write_to_online_store(view, fresh[[ENTITY, "available_at", *views()[view]]])
    return len(fresh)


def training_rows(store: FeatureStore, model: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """The model's features as known at each decision: Feast's point-in-time join.

    decisions: instrument, decision_time and any further columns, which are kept. A feature older than its view's
    time to live at the decision is missing.
    """
    entities = decisions.rename(columns={"decision_time": "event_timestamp"})
    joined = store.get_historical_features(
        entity_df=entities, features=store.get_feature_service(service_name(model))
    ).to_df()
    # Feast neither keeps the order of the rows nor their time unit.
    joined["decision_time"] = pd.DatetimeIndex(joined.pop("event_timestamp")).as_unit("us")
    return joined.sort_values(["decision_time", ENTITY], kind="stable", ignore_index=True)

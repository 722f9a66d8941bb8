"""Features as known at each decision, through Feast's point-in-time join."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fx_assets.feature_store.encoding import ENTITY
from fx_assets.feature_store.services import find_service

if TYPE_CHECKING:
    from feast import FeatureStore


def training_rows(store: FeatureStore, service: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """The features of a service as known at each decision.

    service: its name (see services.service_for). decisions: instrument, decision_time (UTC) and any further columns,
    which are kept. A feature older than its view's time to live at the decision is missing. Sorted by decision_time
    and instrument. Raises StoreError for a service that is not registered, DataError for features that gold has not.
    """
    entities = decisions.rename(columns={"decision_time": "event_timestamp"})
    joined = store.get_historical_features(entity_df=entities, features=find_service(store, service)).to_df()
    # Feast keeps neither the order of the rows nor their time unit.
    joined["decision_time"] = pd.DatetimeIndex(joined.pop("event_timestamp")).as_unit("us")
    return joined.sort_values(["decision_time", ENTITY], kind="stable", ignore_index=True)

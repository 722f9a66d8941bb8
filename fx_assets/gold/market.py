"""gold/market_features from candles and the feature groups of silver."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fx_assets.features import compute_features
from fx_assets.gold.join import side_by_side


def market_table(candles: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All market features of a bar side by side, those of the calendar included.

    candles: the bars themselves. groups: instrument, time, available_at and features, of the same bars.
    """
    return side_by_side(*groups, compute_features(candles, ["calendar"]))

"""gold/labels from candles: every label that models.yaml asks for, side by side."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fx_assets.configuration import Label
from fx_assets.labels import label_frame

READ = ["instrument", "time", "available_at", "open", "high", "low", "close"]
KEYS = ["instrument", "time", "available_at"]


def label_table(candles: pd.DataFrame, labels: Iterable[Label], bar_minutes: dict[str, int]) -> pd.DataFrame:
    """instrument, time, available_at and the columns of each label (see schemas.py); missing where undecided.

    candles: silver candles of one or several instruments. bar_minutes: length of a bar by instrument.
    Returns the rows sorted by (instrument, time).
    """
    frame, _ = label_frame(candles[READ], list(labels), bar_minutes)
    return frame.drop(columns=[name for name in READ if name not in KEYS])

"""All feature groups in one pass over the bars. Formulas are in the group files."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fx_assets.features.blocks import apply
from fx_assets.features.registry import COMPUTE, specs
from fx_assets.features.spec import GROUPS


def compute_features(bars: pd.DataFrame, groups: Iterable[str] | None = None) -> pd.DataFrame:
    """Features of one or several instruments.

    bars: instrument, time (tz-aware bar open), open, high, low, close; optional volume, bid_close, ask_close.
    groups: names of feature groups; None for all.
    Returns instrument, time and the supported features (see `available_features`) in canonical order,
    float64, sorted by (instrument, time). NaN only in a feature's warm-up.
    Raises ValueError for unknown groups, DataError for bars that `blocks.apply` refuses.
    """
    wanted = GROUPS if groups is None else tuple(groups)
    names = [spec.name for group in wanted for spec in specs(group)]
    frame = apply(bars, [COMPUTE[group] for group in wanted])
    chosen = ["instrument", "time", *(name for name in names if name in frame.columns)]
    return pd.DataFrame({name: frame[name].array for name in chosen}, copy=False)


def latest_features(tail: pd.DataFrame) -> pd.DataFrame:
    """The features of each instrument's newest bar; `tail` should hold max_window() bars per instrument."""
    return compute_features(tail).groupby("instrument", sort=False).tail(1).reset_index(drop=True)

"""The test that catches look-ahead: what was known at a row must not change when later rows arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

KEYS = ["instrument", "time"]


def assert_no_lookahead(
    function: Callable[[pd.DataFrame], pd.DataFrame], bars: pd.DataFrame, cuts: Iterable[int]
) -> None:
    """Compare the result on all bars with the result on the first `cut` bars in time, bit for bit.

    function: bars -> frame with instrument, time and float columns.
    bars: any instruments; cut in time order, so every instrument loses its own future.
    Raises AssertionError naming the first column, instrument and time that changed.
    """
    ordered = bars.sort_values(["time", "instrument"], kind="stable")
    whole = function(ordered).set_index(KEYS)
    for cut in cuts:
        seen = function(ordered.iloc[:cut]).set_index(KEYS)
        _assert_same(whole.loc[seen.index], seen, f"cut at row {cut}")


def assert_start_independent(
    function: Callable[[pd.DataFrame], pd.DataFrame],
    bars: pd.DataFrame,
    drops: Iterable[int],
    window: int,
) -> None:
    """Compare with the result when an instrument's first `drop` bars are missing, from `window` bars on."""
    whole = function(bars).set_index(KEYS)
    for drop in drops:
        later = bars.loc[(bars.groupby("instrument").cumcount() >= drop).to_numpy()]
        result = function(later)
        settled = result.groupby("instrument").cumcount() >= window - 1
        part = result.loc[settled.to_numpy()].set_index(KEYS)
        _assert_same(whole.loc[part.index], part, f"first {drop} rows dropped")


def _assert_same(expected: pd.DataFrame, actual: pd.DataFrame, what: str) -> None:
    if list(expected.columns) != list(actual.columns):
        raise AssertionError(f"{what}: columns {list(actual.columns)} are not {list(expected.columns)}")
    for name in expected.columns:
        left, right = expected[name].to_numpy(float), actual[name].to_numpy(float)
        differs = np.flatnonzero(~((left == right) | (np.isnan(left) & np.isnan(right))))
        if len(differs):
            row = int(differs[0])
            raise AssertionError(
                f"{what}: {name} at {expected.index[row]} is {right[row]!r}, with all rows {left[row]!r}"
            )

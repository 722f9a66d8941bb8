"""Windows that reach over sessions: which values of a session have all the history that they may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from fx_assets.features.blocks import moment_us, time_us, with_columns
from fx_assets.sessions import news_bounds


def by_session(
    keys: Sequence[str],
    bars: pd.DataFrame,
    function: Callable[[pd.DataFrame], pd.DataFrame],
    lookback_sessions: int,
    windows: Mapping[str, int],
    calendar: Sequence[str],
    all_week: bool = False,
) -> pd.DataFrame:
    """`function` over a range of sessions so that the result does not depend on the range.

    bars: of `keys` and the `lookback_sessions` sessions of `calendar` (all keys, sorted) before each of them.
    function: bars -> instrument, time and columns, a row for each bar, sorted by these two. A value depends on
    `windows[column]` bars (its own included; 1 where not named), and is missing where there are fewer.
    Each session's canonical history is the `lookback_sessions` sessions before it. One pass over everything gives
    the values of all; those that would have too little of the canonical history (at the start, after a long gap) are
    made missing, as if the session had been computed alone. Returns rows of `keys` only, sorted by (instrument, time).
    """
    whole = function(bars)
    if whole.empty:
        return whole
    position = {key: n for n, key in enumerate(calendar)}
    own = np.array([_bounds(key, all_week) for key in keys], dtype=np.int64)
    first = [calendar[max(0, position[key] - lookback_sessions)] for key in keys]
    history = np.array([_bounds(key, all_week)[0] for key in first], dtype=np.int64)
    time = time_us(whole["time"])
    chosen, known = [], []
    for start, end in _instruments(whole["instrument"]):
        moments = time[start:end]
        froms, untils = np.searchsorted(moments, own.T)
        begins = np.searchsorted(moments, history)
        for a, b, begin in zip(froms, untils, begins, strict=True):
            chosen.append(np.arange(start + a, start + b))
            known.append(np.arange(a - begin + 1, b - begin + 1))
    rows, bars_known = np.concatenate(chosen), np.concatenate(known)
    found = whole if len(rows) == len(whole) else whole.iloc[rows].reset_index(drop=True)
    return _with_missing(found, windows, bars_known)


def _with_missing(frame: pd.DataFrame, windows: Mapping[str, int], known: np.ndarray) -> pd.DataFrame:
    """Columns made missing where fewer bars are known than they need."""
    if not len(known):
        return frame
    fewest = int(known.min())
    short: dict[int, np.ndarray] = {}
    columns: dict[str, np.ndarray] = {}
    for name in (str(column) for column in frame.columns):
        if (window := windows.get(name, 1)) > fewest:
            rows = short.setdefault(window, known < window)
            columns[name] = np.where(rows, np.nan, frame[name].to_numpy(float))
    return with_columns(frame, columns) if columns else frame


def _instruments(column: pd.Series) -> Iterable[tuple[int, int]]:
    codes, _ = pd.factorize(column)
    edges = (np.flatnonzero(np.diff(codes)) + 1).tolist()
    return pairwise([0, *edges, len(codes)])


def _bounds(key: str, all_week: bool) -> tuple[int, int]:
    start, end = news_bounds(key, all_week)
    return moment_us(start), moment_us(end)

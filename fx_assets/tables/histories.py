"""Windows that reach over sessions: which values of a session have all the history that they may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd

from fx_assets.features.blocks import moment_us, time_us, values_of
from fx_assets.sessions import news_bounds


def by_session(
    keys: Sequence[str],
    bars: pd.DataFrame,
    function: Callable[[pd.DataFrame], pd.DataFrame],
    lookback_sessions: int | Mapping[str, int],
    windows: Mapping[str, int],
    calendar: Sequence[str],
    all_week: bool = False,
) -> pd.DataFrame:
    """`function` over a range of sessions so that the result does not depend on the range.

    bars: of `keys` and the `lookback_sessions` sessions of `calendar` (all keys, sorted) before each of them;
    these may be given by instrument, and those of an instrument suffice for it.
    function: bars -> instrument, time and columns, a row for each bar, sorted by these two. A value depends on
    `windows[column]` bars (its own included; 1 where not named), and is missing where there are fewer. It may depend
    on other instruments' bars too, as far as they lie in the time of these bars.
    Each session's canonical history is the `lookback_sessions` sessions before it. One pass over everything gives
    the values of all; those that would have too little of the canonical history (at the start, after a long gap) are
    made missing, as if the session had been computed alone. Returns rows of `keys` only, sorted by (time, instrument).
    """
    whole = function(bars)
    if whole.empty:
        return whole
    position = {key: n for n, key in enumerate(calendar)}
    own = np.array([_bounds(key, all_week) for key in keys], dtype=np.int64)

    @cache
    def history(sessions: int) -> np.ndarray:
        first = [calendar[max(0, position[key] - sessions)] for key in keys]
        return np.array([_bounds(key, all_week)[0] for key in first], dtype=np.int64)

    time = time_us(whole["time"])
    chosen, known = [], []
    for start, end in _instruments(whole["instrument"]):
        moments = time[start:end]
        froms, untils = np.searchsorted(moments, own.T)
        symbol = str(whole["instrument"].iat[start])
        back = lookback_sessions if isinstance(lookback_sessions, int) else lookback_sessions[symbol]
        begins = np.searchsorted(moments, history(back))
        for a, b, begin in zip(froms, untils, begins, strict=True):
            chosen.append(np.arange(start + a, start + b))
            known.append(np.arange(a - begin + 1, b - begin + 1))
    rows, bars_known = np.concatenate(chosen), np.concatenate(known)
    # As tables store them, so that nothing has to be put in order again: a stable sort keeps instruments apart.
    order = np.argsort(time[rows], kind="stable")
    return _taken(whole, rows[order], windows, bars_known[order])


def _taken(frame: pd.DataFrame, rows: np.ndarray, windows: Mapping[str, int], known: np.ndarray) -> pd.DataFrame:
    """Some rows, with columns made missing where fewer bars are known than they need. Copies each column once."""
    fewest = int(known.min()) if len(known) else np.iinfo(np.int64).max
    short: dict[int, np.ndarray] = {}
    columns: dict[str, object] = {}
    for name in (str(column) for column in frame.columns):
        taken = values_of(frame[name])[rows]
        if (window := windows.get(name, 1)) > fewest:
            if window not in short:
                short[window] = np.flatnonzero(known < window)
            taken = np.asarray(taken, dtype=float)
            taken[short[window]] = np.nan
        columns[name] = taken
    return pd.DataFrame(columns, copy=False)


def _instruments(column: pd.Series) -> Iterable[tuple[int, int]]:
    """Where each instrument's rows begin and end; they are sorted, so that only the ends are looked for."""
    names, start = column.to_numpy(), 0
    while start < len(names):
        end = int(np.searchsorted(names, names[start], side="right"))
        yield start, end
        start = end


def _bounds(key: str, all_week: bool) -> tuple[int, int]:
    start, end = news_bounds(key, all_week)
    return moment_us(start), moment_us(end)

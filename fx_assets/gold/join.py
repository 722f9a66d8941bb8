"""Joins behind the gold tables: pure functions on frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from fx_assets.features.blocks import time_us, with_columns
from fx_assets.labels import instrument_rows

KEYS = ["instrument", "time"]


def side_by_side(*frames: pd.DataFrame) -> pd.DataFrame:
    """Frames with the same instrument and time, one beside the other; available_at is taken once.

    Rows come in the first frame's order; rows that one of the frames lacks are left out. Repeated keys raise
    MergeError unless both frames have them in the same order; the check of the table's schema finds those.
    """
    joined, *others = frames
    for other in others:
        fresh = [name for name in other.columns if name not in (*KEYS, "available_at")]
        rows = _rows_of(joined, other)
        if rows is None:
            joined = joined.merge(other[[*KEYS, *fresh]], on=KEYS, how="inner", validate="1:1")
            continue
        joined = with_columns(joined, {name: other[name].array[rows] for name in fresh})
    return joined


def _rows_of(frame: pd.DataFrame, other: pd.DataFrame) -> np.ndarray | slice | None:
    """For each row of `frame` the row of `other` with the same keys; None unless they pair up exactly."""
    if len(frame) != len(other):
        return None
    codes, _ = pd.factorize(pd.concat([frame["instrument"], other["instrument"]], ignore_index=True))
    left, right = (codes[: len(frame)], time_us(frame["time"])), (codes[len(frame) :], time_us(other["time"]))
    if _same(left, right):
        return slice(None)
    of_left, of_right = np.lexsort(left), np.lexsort(right)
    left, right = (left[0][of_left], left[1][of_left]), (right[0][of_right], right[1][of_right])
    if not _same(left, right) or bool(((left[0][1:] == left[0][:-1]) & (left[1][1:] == left[1][:-1])).any()):
        return None
    rows = np.empty(len(frame), dtype=np.int64)
    rows[of_left] = of_right
    return rows


def _same(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> bool:
    return bool(np.array_equal(left[0], right[0]) and np.array_equal(left[1], right[1]))


def lags(bars: pd.DataFrame, names: Sequence[str], steps: Iterable[int]) -> pd.DataFrame:
    """instrument, time and <name>_lag<k>: the value k bars of the same instrument earlier; sorted by these two."""
    codes, _ = pd.factorize(bars["instrument"], sort=True)
    bars = bars.iloc[np.lexsort((time_us(bars["time"]), codes))].reset_index(drop=True)
    wanted, rows = list(steps), instrument_rows(bars)
    columns = {}
    for name in names:
        values = bars[name].to_numpy(float)
        for k in wanted:
            lagged = np.full(len(bars), np.nan)
            for part in rows:
                lagged[part.start + k : part.stop] = values[part.start : max(part.start, part.stop - k)]
            columns[f"{name}_lag{k}"] = lagged
    return bars[KEYS].assign(**columns)


def known_news(bars: pd.DataFrame, news: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The newest news row known at each bar's close: news.available_at <= bars.available_at."""
    known = news.sort_values("available_at", kind="stable")
    rows = np.searchsorted(time_us(known["available_at"]), time_us(bars["available_at"]), side="right") - 1
    columns = {}
    for name in names:
        values = np.append(known[name].to_numpy(float), np.nan)  # row -1: nothing is known yet
        columns[name] = values[rows]
    return with_columns(bars, columns)


def decision_times(start: pd.Timestamp, end: pd.Timestamp, minutes: int) -> pd.DatetimeIndex:
    """Ends of the intervals between start and end: the moments at which something may be decided."""
    step = pd.Timedelta(minutes=minutes)
    return pd.date_range(start + step, end, freq=step, unit="us")

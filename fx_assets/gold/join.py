"""Joins behind the gold tables: pure functions on frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from fx_assets.features.blocks import moment_us, time_us, values_of, with_columns
from fx_assets.sessions import news_bounds

KEYS = ["instrument", "time"]


def side_by_side(*frames: pd.DataFrame) -> pd.DataFrame:
    """Frames with the same instrument and time, one beside the other; available_at is taken once.

    Rows come in the first frame's order; rows that one of the frames lacks are left out. Repeated keys raise
    MergeError unless both frames have them in the same order; the check of the table's schema finds those.
    """
    joined, *others = frames
    columns: dict[str, object] = {}  # put into one frame at the end: wide frames are slow to make
    for other in others:
        fresh = [name for name in other.columns if name not in (*KEYS, "available_at")]
        rows = _rows_of(joined, other)
        if rows is None:
            joined = with_columns(joined, columns).merge(other[[*KEYS, *fresh]], on=KEYS, how="inner", validate="1:1")
            columns = {}
            continue
        columns |= {name: values_of(other[name])[rows] for name in fresh}
    return with_columns(joined, columns) if columns else joined


def _rows_of(frame: pd.DataFrame, other: pd.DataFrame) -> np.ndarray | slice | None:
    """For each row of `frame` the row of `other` with the same keys; None unless they pair up exactly."""
    if len(frame) != len(other):
        return None
    of_frame, of_other = time_us(frame["time"]), time_us(other["time"])
    same = np.array_equal(of_frame, of_other)
    if same and np.array_equal(frame["instrument"].to_numpy(), other["instrument"].to_numpy()):
        return slice(None)  # as tables are stored; looked at first because names are slow to number
    codes, _ = pd.factorize(pd.concat([frame["instrument"], other["instrument"]], ignore_index=True))
    left, right = (codes[: len(frame)], of_frame), (codes[len(frame) :], of_other)
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
    wanted, rows = list(steps), _instrument_rows(bars)
    columns = {}
    for name in names:
        values = bars[name].to_numpy(float)
        for k in wanted:
            lagged = np.full(len(bars), np.nan)
            for part in rows:
                lagged[part.start + k : part.stop] = values[part.start : max(part.start, part.stop - k)]
            columns[f"{name}_lag{k}"] = lagged
    return bars[KEYS].assign(**columns)


def _instrument_rows(ordered: pd.DataFrame) -> list[slice]:
    """Where each instrument's rows lie in a frame sorted by (instrument, time)."""
    codes, _ = pd.factorize(ordered["instrument"])
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(ordered)]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]


def known_news(
    bars: pd.DataFrame,
    news: pd.DataFrame,
    names: Sequence[str],
    sessions: tuple[np.ndarray, np.ndarray] | None = None,
) -> pd.DataFrame:
    """The newest news row of the bar's instrument known at its close: news.available_at <= bars.available_at.

    Rows come in the order of the bars; missing where nothing was known yet. Of equal times the last row counts.
    sessions: the number of each bar's and of each news row's session (see `session_numbers`). With it a bar is given
    news of its own session only, so that one that closes after its session's end is given the same whether or not the
    next session is there.
    """
    codes, _ = pd.factorize(pd.concat([bars["instrument"], news["instrument"]], ignore_index=True))
    of_bars, of_news = codes[: len(bars)], codes[len(bars) :]
    closes, known = time_us(bars["available_at"]), time_us(news["available_at"])
    order = np.lexsort((known, of_news))
    of_news, known = of_news[order], known[order]
    one = np.zeros(len(bars), dtype=np.int64), np.zeros(len(news), dtype=np.int64)
    session_of_bar, session_of_news = one if sessions is None else sessions
    session_of_news = session_of_news[order]
    rows = np.full(len(bars), len(news), dtype=np.int64)  # one row beyond the news: nothing is known yet
    for code in np.unique(of_bars):
        own = np.flatnonzero(of_bars == code)
        first, last = np.searchsorted(of_news, [code, code + 1])
        # Sessions follow one another, and so do the times at which their news is known.
        within = session_of_news[first:last]
        begin, end = (np.searchsorted(within, session_of_bar[own], side=side) for side in ("left", "right"))
        found = np.minimum(np.searchsorted(known[first:last], closes[own], side="right"), end) - 1
        there = found >= begin
        rows[own[there]] = order[first + found[there]]
    return with_columns(bars, {name: np.append(news[name].to_numpy(float), np.nan)[rows] for name in names})


def session_numbers(frame: pd.DataFrame, keys: Sequence[str], all_week: bool = False) -> np.ndarray:
    """The number among `keys` (sorted) of the session that each row's `time` falls into, int64."""
    bounds = [news_bounds(key, all_week) for key in keys]
    edges = np.array([*(moment_us(start) for start, _ in bounds), moment_us(bounds[-1][1])], dtype=np.int64)
    return np.searchsorted(edges, time_us(frame["time"]), side="right") - 1


def decision_times(start: pd.Timestamp, end: pd.Timestamp, minutes: int) -> pd.DatetimeIndex:
    """Ends of the intervals between start and end: the moments at which something may be decided."""
    step = pd.Timedelta(minutes=minutes)
    return pd.date_range(start + step, end, freq=step, unit="us")

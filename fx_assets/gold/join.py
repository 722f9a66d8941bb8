"""Joins behind the gold tables: pure functions on frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

KEYS = ["instrument", "time"]


def side_by_side(*frames: pd.DataFrame) -> pd.DataFrame:
    """Frames with the same instrument and time, one beside the other; available_at is taken once."""
    joined, *others = frames
    for other in others:
        joined = joined.merge(other.drop(columns="available_at", errors="ignore"), on=KEYS, how="inner", validate="1:1")
    return joined


def with_lags(frame: pd.DataFrame, names: Sequence[str], lags: Iterable[int]) -> pd.DataFrame:
    """<name>_lag<k>: the value k bars of the same instrument earlier."""
    ordered = frame.sort_values(KEYS, ignore_index=True)
    groups = ordered.groupby("instrument", sort=False)
    return ordered.assign(**{f"{name}_lag{k}": groups[name].shift(k) for name in names for k in lags})


def known_news(bars: pd.DataFrame, news: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The newest news row known at each bar's close: news.available_at <= bars.available_at."""
    right = news[["available_at", *names]].sort_values("available_at")
    return pd.merge_asof(
        bars.sort_values("available_at", kind="stable"), right, on="available_at", direction="backward"
    )


def decision_times(start: pd.Timestamp, end: pd.Timestamp, minutes: int) -> pd.DatetimeIndex:
    """Ends of the intervals between start and end: the moments at which something may be decided."""
    step = pd.Timedelta(minutes=minutes)
    return pd.date_range(start + step, end, freq=step, unit="us")

"""The two labels: will the price rise, and will the move be larger than usual for that hour.

Time rules, the same for both: `time` is the bar's open, the decision is taken at its close (time +
granularity), and the label is known at label_end = decision time + horizon. The bar that closes exactly then
must exist: over a weekend, a gap or the end of the data a label is missing, not wrong. Values use only bars
known at the decision time, except label and forward_return, which are what is predicted.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import numpy as np
import pandas as pd

from fx_assets.features.blocks import MINUTE_US, NEW_YORK, ordered_bars, time_us, wall_minute

SESSIONS = 20
PERSISTENCE_SPAN = 24
PERSISTENCE_LENGTH = 96
# How far back the occurrences of an hour may lie: the hour after the weekend has only four a
# week, and there are holidays.
REACH_DAYS_PER_SESSION = 2.25
PERSISTENCE_REACH_DAYS = 10
# The fewest sessions before the first wanted row (one-hour horizons need 45 + 10 calendar days of them); see
# label_sessions.
LOOKBACK_SESSIONS = 40
DAY_US = 1440 * MINUTE_US


def label_sessions(horizon_minutes: int, all_week: bool = False) -> tuple[int, int]:
    """Sessions of bars that the labels of one session need (before it, after it), for any horizon up to the given.

    Before: the yardstick's reach, the persistence's reach and the return that each of its values is. After: those
    in which the horizon of its last bar can end.
    """
    days = REACH_DAYS_PER_SESSION * SESSIONS + PERSISTENCE_REACH_DAYS * max(1.0, horizon_minutes / 60.0)
    days += horizon_minutes / 1440
    sessions = ceil(days * (1.0 if all_week else 5 / 7)) + 1
    return max(LOOKBACK_SESSIONS, sessions), max(1, ceil(horizon_minutes / 1440))


def direction(bars: pd.DataFrame, horizon_minutes: int, granularity_minutes: int) -> pd.DataFrame:
    """Will the close be higher `horizon_minutes` after the decision?

    bars: instrument, time (tz-aware bar open), open, high, low, close; any number of instruments.
    Returns instrument, time, label (1.0 higher, 0.0 lower, NaN equal or missing), label_end (UTC),
    forward_return (log return over the horizon, NaN where missing), sorted by (instrument, time).
    Raises ValueError where the horizon is not a positive multiple of the granularity, DataError for bad bars.
    """
    _check(horizon_minutes, granularity_minutes)
    ordered = ordered_bars(bars)
    forward = _returns(ordered, horizon_minutes)
    label = np.where(forward > 0.0, 1.0, np.where(forward < 0.0, 0.0, np.nan))
    return _frame(ordered, horizon_minutes, granularity_minutes, label, forward)


def large_move(
    bars: pd.DataFrame, horizon_minutes: int, granularity_minutes: int, sessions: int = SESSIONS
) -> pd.DataFrame:
    """Will the next move be larger than it usually is at that time of day?

    As `direction`, with label 1.0 if |forward return| > threshold, else 0.0, and two more columns:
    threshold: median |return| over the horizon at the last `sessions` occurrences, known at the decision
        time, of the New York time of day of the bar that ends the horizon; NaN with fewer occurrences in 2.25
        days per session.
    persistence: exponential mean (span PERSISTENCE_SPAN, PERSISTENCE_LENGTH values one horizon apart) of past
        |return| over its own threshold, up to the decision time. This is the naive forecast: volatility
        persists.
    """
    _check(horizon_minutes, granularity_minutes)
    ordered = ordered_bars(bars)
    forward = _returns(ordered, horizon_minutes)
    threshold = np.full(len(ordered), np.nan)
    persistence = np.full(len(ordered), np.nan)
    past = np.abs(_returns(ordered, -horizon_minutes))
    stride = horizon_minutes // granularity_minutes
    for rows in instrument_rows(ordered):
        time = time_us(ordered["time"].iloc[rows])
        threshold[rows], persistence[rows] = _yardstick(past[rows], time, horizon_minutes, stride, sessions)
    known = ~(np.isnan(forward) | np.isnan(threshold))
    label = np.where(known, (np.abs(forward) > threshold).astype(float), np.nan)
    frame = _frame(ordered, horizon_minutes, granularity_minutes, label, forward)
    return frame.assign(threshold=threshold, persistence=persistence)


def _yardstick(
    past: np.ndarray, time: np.ndarray, horizon_minutes: int, stride: int, sessions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Threshold of the coming move and persistence of past ones, for one instrument."""
    from fx_assets.features.blocks import exponential
    from fx_assets.labels.kernels import slot_median, strided_mean

    slot = wall_minute(time, NEW_YORK) % 1440
    coming = wall_minute(time + horizon_minutes * MINUTE_US, NEW_YORK) % 1440
    reach = int(REACH_DAYS_PER_SESSION * sessions * DAY_US)
    past = np.ascontiguousarray(past)
    threshold = slot_median(past, slot, coming, time, sessions, reach, True)
    usual = slot_median(past, slot, slot, time, sessions, reach, False)
    unknown = np.isnan(past) | np.isnan(usual)
    with np.errstate(divide="ignore", invalid="ignore"):
        adjusted = np.where(unknown, np.nan, np.where(usual > 0.0, np.minimum(past / usual, 10.0), 0.0))
    weights = exponential(PERSISTENCE_SPAN, PERSISTENCE_LENGTH)
    # Values one horizon apart: longer horizons reach back proportionally.
    span_days = PERSISTENCE_REACH_DAYS * max(1.0, horizon_minutes / 60.0)
    return threshold, strided_mean(adjusted, weights, stride, time, int(span_days * DAY_US))


def _returns(ordered: pd.DataFrame, minutes: int) -> np.ndarray:
    """Log return to the bar `minutes` later, or from the one before if minutes < 0; NaN if there is none."""
    out = np.full(len(ordered), np.nan)
    close = np.log(ordered["close"].to_numpy(float))
    time = time_us(ordered["time"])
    for rows in instrument_rows(ordered):
        own = time[rows]
        wanted = own + minutes * MINUTE_US
        at = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
        change = close[rows][at] - close[rows]
        out[rows] = np.where(own[at] == wanted, change if minutes > 0 else -change, np.nan)
    return out


def instrument_rows(ordered: pd.DataFrame) -> list[slice]:
    """Where each instrument's rows lie in a frame sorted by (instrument, time)."""
    codes, _ = pd.factorize(ordered["instrument"])
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(ordered)]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]


def _frame(
    ordered: pd.DataFrame, horizon: int, granularity: int, label: np.ndarray, forward: np.ndarray
) -> pd.DataFrame:
    end = time_us(ordered["time"]) + (horizon + granularity) * MINUTE_US
    frame = ordered.loc[:, ["instrument", "time"]].copy()
    frame["label"] = label
    frame["label_end"] = pd.DatetimeIndex(end.view("datetime64[us]")).tz_localize("UTC")
    frame["forward_return"] = forward
    return frame


def _check(horizon: int, granularity: int) -> None:
    if granularity <= 0 or horizon <= 0 or horizon % granularity:
        raise ValueError(
            f"horizon of {horizon} minutes on bars of {granularity}: the horizon must be a positive "
            "multiple of the bar length. Change horizon_minutes or the granularity."
        )

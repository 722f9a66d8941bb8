"""Labels with a fixed horizon: will the price rise, by how much, and will it move more than usual at that hour.

Time rules, the same for all: `time` is the bar's open, the decision is taken at its close (time + bar length), and the
label is known when the bar a horizon later closes. That bar must be there: over a weekend (for horizons in minutes), a
gap or the end of the data a label is missing, not wrong. Values use only bars known at the decision time, except label
and forward_return, which are what is predicted.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.blocks import MINUTE_US, exponential
from fx_assets.labels.horizon import (
    DAY_US,
    PERSISTENCE_REACH_DAYS,
    REACH_DAYS_PER_SESSION,
    SESSIONS,
    Horizon,
)
from fx_assets.labels.series import NEVER, Series

PERSISTENCE_SPAN = 24
PERSISTENCE_LENGTH = 96
Columns = dict[str, np.ndarray]


def direction(series: Series, horizon: Horizon) -> Columns:
    """Will the close be higher a horizon after the decision?

    Returns label (1.0 higher, 0.0 lower, NaN equal or missing), label_end (int64 microseconds UTC, NEVER where there is
    none) and forward_return (log return over the horizon, NaN where missing).
    """
    forward = series.forward_return(horizon)
    label = np.where(forward > 0.0, 1.0, np.where(forward < 0.0, 0.0, np.nan))
    return {"label": label, "label_end": _ends(series, horizon), "forward_return": forward}


def future_return(series: Series, horizon: Horizon) -> Columns:
    """The log return over the horizon itself, as label and as forward_return; label_end as of `direction`."""
    forward = series.forward_return(horizon)
    return {"label": forward, "label_end": _ends(series, horizon), "forward_return": forward}


def large_move(series: Series, horizon: Horizon, sessions: int = SESSIONS) -> Columns:
    """Will the next move be larger than it usually is at that time of day?

    As `direction`, with label 1.0 if |forward return| > threshold, else 0.0, and two more columns:
    threshold: median |return| over the horizon at the last `sessions` occurrences, known at the decision time, of the
        New York time of day: of the bar that ends the horizon, and of the bar before it for horizons in bars, whose end
        is not known beforehand. NaN with fewer occurrences in 2.25 days per session.
    persistence: exponential mean (span PERSISTENCE_SPAN, PERSISTENCE_LENGTH values one horizon apart) of past |return|
        over its own threshold, up to the decision time. This is the naive forecast: volatility persists.
    """
    forward = series.forward_return(horizon)
    threshold, persistence = _yardstick(series, horizon, sessions)
    known = ~(np.isnan(forward) | np.isnan(threshold))
    label = np.where(known, (np.abs(forward) > threshold).astype(float), np.nan)
    return {
        "label": label,
        "label_end": _ends(series, horizon),
        "forward_return": forward,
        "threshold": threshold,
        "persistence": persistence,
    }


def _yardstick(series: Series, horizon: Horizon, sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Threshold of the coming move and persistence of past ones."""
    from fx_assets.labels.kernels import slot_medians, strided_mean

    time = series.block.time_us
    past = np.abs(series.past_return(horizon))
    if horizon.minutes is not None:
        slot, coming = series.minute, series.minute_after(horizon.minutes)
    else:
        # A move belongs to the time of day at which it began.
        slot, coming = series.minute[series.rows(horizon, past=True)], series.minute
    reach = int(REACH_DAYS_PER_SESSION * sessions * DAY_US)
    threshold, usual = slot_medians(past, slot, coming, time, sessions, reach)
    unknown = np.isnan(past) | np.isnan(usual)
    with np.errstate(divide="ignore", invalid="ignore"):
        adjusted = np.where(unknown, np.nan, np.where(usual > 0.0, np.minimum(past / usual, 10.0), 0.0))
    weights = exponential(PERSISTENCE_SPAN, PERSISTENCE_LENGTH)
    # Values one horizon apart: longer horizons reach back proportionally.
    span_days = PERSISTENCE_REACH_DAYS * max(1.0, horizon.nominal_minutes / 60.0)
    return threshold, strided_mean(adjusted, weights, horizon.stride, time, int(span_days * DAY_US))


def _ends(series: Series, horizon: Horizon) -> np.ndarray:
    if horizon.minutes is not None:
        return series.decision_us + horizon.minutes * MINUTE_US
    rows = series.rows(horizon)
    return np.where(rows >= 0, series.decision_us[rows], NEVER)

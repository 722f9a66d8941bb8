"""Labels that end where the price leaves barriers, as a trade with a target and a stop does; and whether it paid.

The barriers lie around the bar's close (the decision's price), as log distances: `up` and `down` times the volatility
of the coming `timeout` bars, which is the volatility per bar known at the decision (see Series.volatility) times the
root of their number. Bars after the decision are looked at one by one: the first whose range reaches a barrier ends the
label, at its close; after `timeout` bars it ends anyhow. Bars count wherever they are, over weekends and gaps too.

Source: Lopez de Prado (2018), Advances in Financial Machine Learning, sections 3.2 to 3.6; own rules for what bars
cannot tell (two barriers in one bar, and opens beyond a barrier).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from fx_assets.labels.horizon import DAY_US, reach_days
from fx_assets.labels.series import NEVER, Series

Columns = dict[str, np.ndarray]


def triple_barrier(series: Series, up: float, down: float, timeout: int, span: int) -> Columns:
    """Does the price leave the barriers upwards?

    up, down: distances in units of the volatility of `timeout` bars; span: of the volatility's exponential mean.
    Returns label (1.0 upper barrier first, 0.0 lower; at the timeout 1.0 where the return is positive and 0.0 where it
    is negative; NaN where that is zero, not known yet, or one bar holds both barriers, whose order is unknown),
    label_end (int64 microseconds UTC: close of the bar that ends it, NEVER where not known), forward_return (log return
    to the barrier; to the open of a bar that opens beyond it; to the close at the timeout), barrier (1.0 upper, -1.0
    lower, 0.0 timeout) and width (the volatility of `timeout` bars, log units, known at the decision).
    """
    width = _width(series, timeout, span)
    found = _outcome(series, width, np.zeros(len(series), np.int8), up, down, timeout)
    change = found["forward_return"]
    label = np.where(change > 0.0, 1.0, np.where(change < 0.0, 0.0, np.nan))
    return {"label": label, **found, "width": width}


def meta_label(series: Series, side: np.ndarray, up: float, down: float, timeout: int, span: int) -> Columns:
    """Does following a side earn anything, with the target `up` on its side and the stop `down` against it?

    side: float64 (n,): 1.0 long, -1.0 short, anything else: no trade, and so no label.
    Returns columns as `triple_barrier` (label 1.0 where side * forward_return > 0, else 0.0; a bar that holds both
    barriers counts as the stop; forward_return is the price's, not the trade's), and side (NaN for none).
    """
    side = np.where(np.abs(side) == 1.0, side, np.nan)
    width = _width(series, timeout, span)
    none = np.isnan(side)
    taken = np.where(none, np.nan, width)
    found = _outcome(series, taken, np.where(none, 0.0, side).astype(np.int8), up, down, timeout)
    change = found["forward_return"]
    label = np.where(np.isnan(change), np.nan, (side * change > 0.0).astype(float))
    return {"label": label, **found, "width": width, "side": side}


def last_sign(series: Series) -> np.ndarray:
    """The side of the bar's own move from the close before it: 1.0, -1.0, and NaN for no move or no bar before."""
    out = np.full(len(series), np.nan)
    sign = np.sign(np.diff(series.block.close))
    out[1:] = np.where(sign == 0.0, np.nan, sign)
    return out


def _width(series: Series, timeout: int, span: int) -> np.ndarray:
    width = series.volatility(span) * sqrt(timeout)
    return np.where(width > 0.0, width, np.nan)


def _outcome(series: Series, width: np.ndarray, side: np.ndarray, up: float, down: float, timeout: int) -> Columns:
    from fx_assets.labels.barrier_kernels import first_touch

    block = series.block
    reach = int(reach_days(timeout * series.bar_minutes) * DAY_US)
    prices = (block.open, block.high, block.low, block.close)
    rows, touched, change = first_touch(*prices, block.time_us, width, side, float(up), float(down), timeout, reach)
    end = np.where(rows >= 0, series.decision_us[rows], NEVER)
    return {"label_end": end, "forward_return": change, "barrier": touched}

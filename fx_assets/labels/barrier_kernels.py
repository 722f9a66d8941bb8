"""The compiled loop of the barrier labels. Import this module inside functions (numba is heavy); fastmath stays off."""

from __future__ import annotations

from math import exp, isnan, log

import numpy as np
from numba import njit

_BLOCK = 16  # bars that are passed over at once while no barrier lies within their range; and so many such blocks
_LARGE = _BLOCK * _BLOCK


@njit(cache=True, nogil=True)
def _extremes(high: np.ndarray, low: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest high and lowest low of each whole block of `size`."""
    blocks = len(high) // size
    highest, lowest = np.empty(blocks), np.empty(blocks)
    for b in range(blocks):
        highest[b] = high[b * size : (b + 1) * size].max()
        lowest[b] = low[b * size : (b + 1) * size].min()
    return highest, lowest


@njit(cache=True, nogil=True)
def first_touch(
    opened: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    time_us: np.ndarray,
    width: np.ndarray,
    side: np.ndarray,
    up: float,
    down: float,
    timeout: int,
    reach_us: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the price first leaves the barriers around each bar's close, in the `timeout` bars after it.

    All arrays of length n, one instrument, ascending in time. width: log distance of one unit; NaN: no barriers.
    side: int8, 1 or 0: `up` widths above and `down` widths below; -1: `up` below and `down` above.
    Returns the row in which it ends (-1 where that is not known), the barrier touched (+1 upper, -1 lower, 0 none until
    the timeout, NaN where not known), and the log return to it: to the barrier, to the open of a bar that opens beyond
    it, or to the close of the last bar. Of a bar that holds both barriers the one against `side` counts; without a
    side the order is not known, and so the row has no result. Not known either: what ends after the last bar, or more
    than reach_us after it began.
    """
    n = len(close)
    ends = np.full(n, -1, np.int64)
    touched, change = np.full(n, np.nan), np.full(n, np.nan)
    highest, lowest = _extremes(high, low, _BLOCK)
    peak, trough = _extremes(highest, lowest, _BLOCK)
    for i in range(n):
        unit = width[i]
        if isnan(unit):
            continue
        above, below = (up * unit, down * unit) if side[i] >= 0 else (down * unit, up * unit)
        rise = exp(above)
        fall = rise if above == below else exp(below)
        entry = close[i]
        top, bottom = entry * rise, entry / fall
        last = min(i + timeout, n - 1)
        j = i + 1
        while j <= last:
            if j % _BLOCK == 0 and j + _BLOCK - 1 <= last:
                if j % _LARGE == 0 and j + _LARGE - 1 <= last:
                    b = j // _LARGE
                    if peak[b] < top and trough[b] > bottom:
                        j += _LARGE
                        continue
                b = j // _BLOCK
                if highest[b] < top and lowest[b] > bottom:
                    j += _BLOCK
                    continue
            if high[j] >= top or low[j] <= bottom:
                break
            j += 1
        if j > last:
            if last < i + timeout:
                continue
            j, hit, gain = last, 0.0, log(close[last] / entry)
        elif opened[j] >= top:
            hit, gain = 1.0, log(opened[j] / entry)
        elif opened[j] <= bottom:
            hit, gain = -1.0, log(opened[j] / entry)
        elif high[j] < top or (low[j] <= bottom and side[i] > 0):
            hit, gain = -1.0, -below
        elif low[j] > bottom or side[i] < 0:
            hit, gain = 1.0, above
        else:
            continue
        if time_us[j] - time_us[i] <= reach_us:
            ends[i], touched[i], change[i] = j, hit, gain
    return ends, touched, change

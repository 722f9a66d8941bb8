"""The compiled loop of the barrier labels. Import this module inside functions (numba is heavy); fastmath stays off."""

from __future__ import annotations

from math import exp, isnan, log

import numpy as np
from numba import njit

_STEP = 4  # windows of 4, 16, 64, ... bars are passed over at once while no barrier lies within their range
_TILE = 16_384  # rows that are worked on together, so that the windows of their bars stay in the cache


@njit(cache=True, nogil=True)
def _extremes(high: np.ndarray, low: np.ndarray, highest: np.ndarray, lowest: np.ndarray) -> None:
    """Highest high and lowest low of the bars from each bar on: of _STEP bars in row 0, and so many times more in each
    further row. Filled as far as there are as many bars. highest, lowest: float64 (levels, at least len(high)).
    """
    apart = 1
    above, below = high, low
    for level in range(len(highest)):
        count = len(high) - _STEP * apart + 1
        for j in range(count):
            most, least = above[j], below[j]
            for k in range(1, _STEP):
                other = above[j + k * apart]
                most = other if other > most else most
                other = below[j + k * apart]
                least = other if other < least else least
            highest[level, j], lowest[level, j] = most, least
        above, below = highest[level], lowest[level]
        apart *= _STEP


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
    levels, size = 0, _STEP
    while size <= timeout:
        levels, size = levels + 1, size * _STEP
    longest = size // _STEP
    tile = max(_TILE, 4 * timeout)
    highest = np.empty((levels, min(tile + timeout + 1, n)))
    lowest = np.empty_like(highest)
    tiles_end = 0
    for i in range(n):
        if i == tiles_end:
            first, tiles_end = i, min(i + tile, n)
            till = min(tiles_end + timeout, n)
            _extremes(high[first:till], low[first:till], highest, lowest)
        unit = width[i]
        if isnan(unit):
            continue
        above, below = (up * unit, down * unit) if side[i] >= 0 else (down * unit, up * unit)
        rise = exp(above)
        fall = rise if above == below else exp(below)
        entry = close[i]
        top, bottom = entry * rise, entry / fall
        last = min(i + timeout, n - 1)
        j, size = i + 1, longest
        for level in range(levels - 1, -1, -1):
            while j + size - 1 <= last and highest[level, j - first] < top and lowest[level, j - first] > bottom:
                j += size
            size //= _STEP
        while j <= last and high[j] < top and low[j] > bottom:
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

"""Compiled loops of the labels with a fixed horizon: rows a horizon away, medians by time of day, means of past moves.

Import this module inside functions (numba is heavy). fastmath stays off: it reorders sums, and then a value depends on
where the computation started.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.sorted_window import replaced

_BLOCK = 512  # rows that strided_mean works on side by side; their sums stay in the first cache


@njit(cache=True, nogil=True)
def rows_apart(time_us: np.ndarray, shift_us: int) -> np.ndarray:
    """For each row the row whose time is exactly `shift_us` later (earlier if negative), -1 if there is none.

    time_us: int64 (n,), ascending.
    """
    n = len(time_us)
    out = np.full(n, -1, np.int64)
    j = 0
    for i in range(n):
        wanted = time_us[i] + shift_us
        while j < n and time_us[j] < wanted:
            j += 1
        if j == n:
            break
        if time_us[j] == wanted:
            out[i] = j
    return out


@njit(cache=True, nogil=True)
def rows_counted(time_us: np.ndarray, bars: int, reach_us: int) -> np.ndarray:
    """For each row the row `bars` later (earlier if negative), -1 if there is none or it is more than reach_us away."""
    n = len(time_us)
    out = np.full(n, -1, np.int64)
    for i in range(max(0, -bars), min(n, n - bars)):
        if abs(time_us[i + bars] - time_us[i]) <= reach_us:
            out[i] = i + bars
    return out


@kernel()
def slot_medians(
    values: np.ndarray, slot: np.ndarray, asked: np.ndarray, time_us: np.ndarray, count: int, reach_us: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two medians of `count` values of one time of day: of the slot asked for, and of a row's own slot before it.

    values: float64 (n,), NaN where unknown. slot: int64 (n,) in [0, 1440), that of each value. asked: as slot.
    Returns the median of the last `count` known values of the slot `asked`, the row's own value among them, and that of
    the row's own slot without its own value. Only values at most reach_us old count, and fewer than `count` of them
    give NaN: so a result is either NaN or the same wherever the series starts.

    The last values of each slot are kept sorted, so that a row costs one insertion and not two selections.
    """
    n = len(values)
    of_asked, of_own = np.full(n, np.nan), np.full(n, np.nan)
    ring = np.full((1440, count), np.nan)
    when = np.zeros((1440, count), np.int64)
    window = np.empty((1440, count))
    held = np.zeros(1440, np.int64)
    oldest = np.zeros(1440, np.int64)
    low, high = (count - 1) // 2, count // 2
    for i in range(n):
        own, now = slot[i], time_us[i]
        if held[own] == count and now - when[own, oldest[own]] <= reach_us:
            of_own[i] = (window[own, low] + window[own, high]) / 2
        if not np.isnan(values[i]):
            at = oldest[own]
            replaced(window[own], held[own], ring[own, at], values[i])
            ring[own, at], when[own, at] = values[i], now
            oldest[own] = at + 1 if at + 1 < count else 0
            held[own] = min(held[own] + 1, count)
        other = asked[i]
        if held[other] == count and now - when[other, oldest[other]] <= reach_us:
            of_asked[i] = (window[other, low] + window[other, high]) / 2
    return of_asked, of_own


@njit(cache=True, nogil=True)
def strided_mean(
    values: np.ndarray, weights: np.ndarray, stride: int, time_us: np.ndarray, reach_us: int
) -> np.ndarray:
    """Weighted mean of the values at rows i, i - stride, i - 2 stride, ..., newest first; NaN values are left out.

    NaN where the values that exist, at most reach_us old, carry less than half of the weight. Each row's terms are
    added in the same order, newest first; rows are worked on side by side, since one row's sum is a chain of additions
    that each wait for the one before.
    """
    n, terms = len(values), len(weights)
    out = np.empty(n)
    known, there = np.empty(n), np.empty(n)
    for i in range(n):
        missing = np.isnan(values[i])
        known[i] = 0.0 if missing else values[i]
        there[i] = 0.0 if missing else 1.0
    half = 0.0
    for k in range(terms):
        half += weights[k]
    half *= 0.5
    back = (terms - 1) * stride
    total, mass = np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, n, _BLOCK):
        rows = min(_BLOCK, n - first)
        whole = first >= back
        for i in range(first, first + rows):
            whole = whole and time_us[i] - time_us[i - back] <= reach_us
        if whole:
            total[:rows] = 0.0
            mass[:rows] = 0.0
            for k in range(terms):
                w, begin = weights[k], first - k * stride
                some, exist = known[begin : begin + rows], there[begin : begin + rows]
                for j in range(rows):
                    total[j] += w * some[j]
                    mass[j] += w * exist[j]
        else:
            for j in range(rows):
                i = first + j
                added, carried = 0.0, 0.0
                for k in range(terms):
                    row = i - k * stride
                    if row < 0 or time_us[i] - time_us[row] > reach_us:
                        break
                    added += weights[k] * known[row]
                    carried += weights[k] * there[row]
                total[j], mass[j] = added, carried
        for j in range(rows):
            out[first + j] = total[j] / mass[j] if mass[j] >= half else np.nan
    return out

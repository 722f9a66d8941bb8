"""Compiled loops of the labels. Import this module inside functions (numba is heavy); fastmath stays off."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def slot_median(
    values: np.ndarray,
    slot: np.ndarray,
    asked: np.ndarray,
    time_us: np.ndarray,
    count: int,
    reach_us: int,
    own: bool,
) -> np.ndarray:
    """Median of the last `count` known values of the time slot each row asks for.

    values: float64 (n,), NaN where unknown. slot, asked: int64 (n,) in [0, 1440).
    own: whether a row's own value counts as known to it. Only rows at most reach_us older are looked at;
    fewer than `count` values there give NaN, so the result is either NaN or the same wherever the series
    starts.
    """
    n = values.shape[0]
    out = np.full(n, np.nan)
    previous = np.full(n, -1, np.int64)
    newest_of_slot = np.full(1440, -1, np.int64)
    buffer = np.empty(count)
    for i in range(n):
        if own and not np.isnan(values[i]):
            previous[i] = newest_of_slot[slot[i]]
            newest_of_slot[slot[i]] = i
        j = newest_of_slot[asked[i]]
        found = 0
        while j >= 0 and found < count and time_us[i] - time_us[j] <= reach_us:
            buffer[found] = values[j]
            found += 1
            j = previous[j]
        if found == count:
            out[i] = np.median(buffer)
        if not own and not np.isnan(values[i]):
            previous[i] = newest_of_slot[slot[i]]
            newest_of_slot[slot[i]] = i
    return out


@njit(cache=True, nogil=True)
def strided_mean(
    values: np.ndarray, weights: np.ndarray, stride: int, time_us: np.ndarray, reach_us: int
) -> np.ndarray:
    """Weighted mean of the values at rows i, i - stride, i - 2 stride, ..., newest first; NaN values are left
    out.

    NaN where the values that exist, at most reach_us old, carry less than half of the weight.
    """
    n = values.shape[0]
    out = np.full(n, np.nan)
    whole = 0.0
    for k in range(weights.shape[0]):
        whole += weights[k]
    for i in range(n):
        total = 0.0
        mass = 0.0
        for k in range(weights.shape[0]):
            j = i - k * stride
            if j < 0 or time_us[i] - time_us[j] > reach_us:
                break
            if not np.isnan(values[j]):
                total += weights[k] * values[j]
                mass += weights[k]
        if mass >= 0.5 * whole:
            out[i] = total / mass
    return out

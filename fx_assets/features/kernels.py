"""Compiled window kernels: the only loops over bars. Import this module inside functions (numba is heavy).

Every kernel visits each window from scratch, newest value first, so a result depends on the values inside its
own window and on nothing before it, bit for bit; there is no running add-and-subtract, and fastmath stays off
because it would let the compiler reorder sums. Window sums are taken over differences from the newest value:
a constant series gives exactly that constant and exactly zero dispersion. NaN inside a window makes the
result NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the last len(weights) values; weights[0] is the newest. float64 (n,) -> (n,)."""
    n = values.shape[0]
    length = weights.shape[0]
    out = np.full(n, np.nan)
    total = 0.0
    for k in range(length):
        total += weights[k]
    for i in range(length - 1, n):
        newest = values[i]
        acc = 0.0
        for k in range(1, length):
            acc += weights[k] * (values[i - k] - newest)
        out[i] = newest + acc / total
    return out


@njit(cache=True, nogil=True)
def moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, population standard deviation and mean absolute deviation over the last `window` values."""
    n = values.shape[0]
    mean = np.full(n, np.nan)
    deviation = np.full(n, np.nan)
    absolute = np.full(n, np.nan)
    for i in range(window - 1, n):
        newest = values[i]
        acc = 0.0
        for k in range(window):
            acc += values[i - k] - newest
        shift = acc / window
        squares = 0.0
        sizes = 0.0
        for k in range(window):
            distance = values[i - k] - newest - shift
            squares += distance * distance
            sizes += abs(distance)
        mean[i] = newest + shift
        deviation[i] = np.sqrt(squares / window)
        absolute[i] = sizes / window
    return mean, deviation, absolute


@njit(cache=True, nogil=True)
def extremes(high: np.ndarray, low: np.ndarray, window: int):
    """Highest high, lowest low and their ages (0 = newest; the latest of equals) over `window` bars."""
    n = high.shape[0]
    top = np.full(n, np.nan)
    bottom = np.full(n, np.nan)
    top_age = np.full(n, np.nan)
    bottom_age = np.full(n, np.nan)
    for i in range(window - 1, n):
        best = high[i]
        worst = low[i]
        best_age = 0
        worst_age = 0
        valid = not (np.isnan(best) or np.isnan(worst))
        for k in range(1, window):
            upper = high[i - k]
            lower = low[i - k]
            if np.isnan(upper) or np.isnan(lower):
                valid = False
                break
            if upper > best:
                best = upper
                best_age = k
            if lower < worst:
                worst = lower
                worst_age = k
        if valid:
            top[i] = best
            bottom[i] = worst
            top_age[i] = best_age
            bottom_age[i] = worst_age
    return top, bottom, top_age, bottom_age


@njit(cache=True, nogil=True)
def rank(values: np.ndarray, window: int) -> np.ndarray:
    """Share of the last `window` values below the newest, ties counted half, in [0, 1]."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    for i in range(window - 1, n):
        newest = values[i]
        below = 0.0
        valid = not np.isnan(newest)
        for k in range(1, window):
            other = values[i - k]
            if np.isnan(other):
                valid = False
                break
            if other < newest:
                below += 1.0
            elif other == newest:
                below += 0.5
        if valid:
            out[i] = below / (window - 1)
    return out


@njit(cache=True, nogil=True)
def same_slot(
    values: np.ndarray,
    slot: np.ndarray,
    lead: int,
    count: int,
    recent: int,
    window: int,
    minimum: int,
    fallback: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Median of `count` and mean of the newest `recent` values at earlier bars of the same time slot.

    values: float64 (n,), NaN only at the start. slot: int64 (n,) in [0, 1440), e.g. New York minute of the
        day.
    lead: 0 takes the values at the earlier bars themselves, 1 at the bars that followed them (what usually
        comes next at this time of day).
    window: earlier bars are looked for among the last `window` bars before the current one; rows with less
        history are NaN. minimum: with fewer earlier bars than this (bars much shorter than an hour) both
        results are the median of the last `fallback` values before the current bar instead.
    """
    n = values.shape[0]
    median = np.full(n, np.nan)
    mean = np.full(n, np.nan)
    previous = np.full(n, -1, np.int64)
    newest_of_slot = np.full(1440, -1, np.int64)
    buffer = np.empty(max(count, fallback))
    first = 0
    while first < n and np.isnan(values[first]):
        first += 1
    for i in range(n):
        previous[i] = newest_of_slot[slot[i]]
        newest_of_slot[slot[i]] = i
        if i < first + window:
            continue
        found = 0
        total = 0.0
        j = previous[i]
        while j >= i - window and j >= 0 and found < count:
            value = values[j + lead]
            buffer[found] = value
            if found < recent:
                total += value
            found += 1
            j = previous[j]
        if found < minimum:
            for k in range(fallback):
                buffer[k] = values[i - 1 - k]
            median[i] = np.median(buffer[:fallback])
            mean[i] = median[i]
        else:
            median[i] = np.median(buffer[:found])
            mean[i] = total / min(found, recent)
    return median, mean


@njit(cache=True, nogil=True)
def trailing_events(
    event_us: np.ndarray,
    value: np.ndarray,
    mass: np.ndarray,
    moment_us: np.ndarray,
    window_us: int,
    half_life_us: float,
) -> np.ndarray:
    """Weighted figures of the events in (moment - window, moment], newest first; events sorted by time.

    Returns float64 (moments, 4): total mass, mean value, standard deviation, mean value with weights halved
    every half life; all 0 where no event (or no mass) lies in the window.
    """
    out = np.zeros((moment_us.shape[0], 4))
    for row in range(moment_us.shape[0]):
        moment = moment_us[row]
        last = np.searchsorted(event_us, moment, side="right") - 1
        total = 0.0
        values = 0.0
        fresh = 0.0
        fresh_values = 0.0
        j = last
        while j >= 0 and event_us[j] > moment - window_us:
            weight = mass[j] * 0.5 ** ((moment - event_us[j]) / half_life_us)
            total += mass[j]
            values += mass[j] * value[j]
            fresh += weight
            fresh_values += weight * value[j]
            j -= 1
        if total <= 0.0:
            continue
        mean = values / total
        squares = 0.0
        for k in range(j + 1, last + 1):
            squares += mass[k] * (value[k] - mean) ** 2
        out[row, 0] = total
        out[row, 1] = mean
        out[row, 2] = np.sqrt(squares / total)
        out[row, 3] = fresh_values / fresh if fresh > 0.0 else 0.0
    return out

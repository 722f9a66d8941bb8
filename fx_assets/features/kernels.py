"""Compiled window kernels: the only loops over bars. Import this module inside functions (numba is heavy).

Every kernel visits each window from scratch, newest value first, so a result depends on the values inside its
own window and on nothing before it, bit for bit; there is no running add-and-subtract, and fastmath stays off
because it would let the compiler reorder sums. Window sums are taken over differences from the newest value:
a constant series gives exactly that constant and exactly zero dispersion. NaN inside a window makes the
result NaN.

Loops over a window run outside and loops over BLOCK neighbouring rows inside, so that the processor works on several
rows at once; each row's own sum is still taken in the same order, newest value first, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Rows worked on together: as many as keep their sums in the nearest cache.
BLOCK = 512


@njit(cache=True, nogil=True)
def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the last len(weights) values; weights[0] is the newest. float64 (n,) -> (n,)."""
    n = values.shape[0]
    length = weights.shape[0]
    out = np.full(n, np.nan)
    total = 0.0
    for k in range(length):
        total += weights[k]
    acc = np.empty(BLOCK)
    for start in range(length - 1, n, BLOCK):
        size = min(BLOCK, n - start)
        newest = values[start : start + size]
        sums = acc[:size]
        sums[:] = 0.0
        for k in range(1, length):
            weight = weights[k]
            older = values[start - k : start - k + size]
            for j in range(size):
                sums[j] += weight * (older[j] - newest[j])
        for j in range(size):
            out[start + j] = newest[j] + sums[j] / total
    return out


@njit(cache=True, nogil=True)
def moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, population standard deviation and mean absolute deviation over the last `window` values."""
    n = values.shape[0]
    mean = np.full(n, np.nan)
    deviation = np.full(n, np.nan)
    absolute = np.full(n, np.nan)
    shifts = np.empty(BLOCK)
    squares = np.empty(BLOCK)
    sizes = np.empty(BLOCK)
    for start in range(window - 1, n, BLOCK):
        size = min(BLOCK, n - start)
        newest = values[start : start + size]
        shift, square, total = shifts[:size], squares[:size], sizes[:size]
        shift[:] = 0.0
        square[:] = 0.0
        total[:] = 0.0
        for k in range(window):
            older = values[start - k : start - k + size]
            for j in range(size):
                shift[j] += older[j] - newest[j]
        for j in range(size):
            shift[j] = shift[j] / window
        for k in range(window):
            older = values[start - k : start - k + size]
            for j in range(size):
                distance = older[j] - newest[j] - shift[j]
                square[j] += distance * distance
                total[j] += abs(distance)
        for j in range(size):
            mean[start + j] = newest[j] + shift[j]
            deviation[start + j] = np.sqrt(square[j] / window)
            absolute[start + j] = total[j] / window
    return mean, deviation, absolute


@njit(cache=True, nogil=True)
def extremes(high: np.ndarray, low: np.ndarray, window: int):
    """Highest high, lowest low and their ages (0 = newest; the latest of equals) over `window` bars."""
    n = high.shape[0]
    top = np.full(n, np.nan)
    bottom = np.full(n, np.nan)
    top_age = np.full(n, np.nan)
    bottom_age = np.full(n, np.nan)
    unknown = np.empty(BLOCK)
    for start in range(window - 1, n, BLOCK):
        size = min(BLOCK, n - start)
        best, worst = top[start : start + size], bottom[start : start + size]
        best_age, worst_age = top_age[start : start + size], bottom_age[start : start + size]
        gaps = unknown[:size]
        for j in range(size):
            best[j] = high[start + j]
            worst[j] = low[start + j]
            best_age[j] = 0.0
            worst_age[j] = 0.0
            gaps[j] = high[start + j] + low[start + j]
        for k in range(1, window):
            upper = high[start - k : start - k + size]
            lower = low[start - k : start - k + size]
            age = float(k)
            for j in range(size):
                gaps[j] += upper[j] + lower[j]  # only whether it is NaN counts
                best_age[j] = age if upper[j] > best[j] else best_age[j]
                best[j] = upper[j] if upper[j] > best[j] else best[j]
                worst_age[j] = age if lower[j] < worst[j] else worst_age[j]
                worst[j] = lower[j] if lower[j] < worst[j] else worst[j]
        for j in range(size):
            if np.isnan(gaps[j]):
                best[j] = np.nan
                worst[j] = np.nan
                best_age[j] = np.nan
                worst_age[j] = np.nan
    return top, bottom, top_age, bottom_age


@njit(cache=True, nogil=True)
def rank(values: np.ndarray, window: int) -> np.ndarray:
    """Share of the last `window` values below the newest, ties counted half, in [0, 1]."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    counts = np.empty(BLOCK)
    unknown = np.empty(BLOCK)
    for start in range(window - 1, n, BLOCK):
        size = min(BLOCK, n - start)
        newest = values[start : start + size]
        below, gaps = counts[:size], unknown[:size]
        for j in range(size):
            below[j] = 0.0
            gaps[j] = newest[j]
        for k in range(1, window):
            older = values[start - k : start - k + size]
            for j in range(size):
                gaps[j] += older[j]  # only whether it is NaN counts
                below[j] += 1.0 if older[j] < newest[j] else 0.0
                below[j] += 0.5 if older[j] == newest[j] else 0.0
        for j in range(size):
            if not np.isnan(gaps[j]):
                out[start + j] = below[j] / (window - 1)
    return out


@njit(cache=True, nogil=True)
def _slide(window: np.ndarray, gone: float, come: float) -> None:
    """Replace one value of a sorted window by another one; it stays sorted."""
    last = window.shape[0] - 1
    at = np.searchsorted(window, gone)
    while at < last and window[at + 1] < come:
        window[at] = window[at + 1]
        at += 1
    while at > 0 and window[at - 1] > come:
        window[at] = window[at - 1]
        at -= 1
    window[at] = come


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
    buffer = np.empty(count)
    ordered = np.empty(fallback)
    ordered_to = -2  # the newest row in `ordered`
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
            # Moved along from the row before where that one needed it too, else sorted anew.
            if ordered_to == i - 2:
                _slide(ordered, values[i - 1 - fallback], values[i - 1])
            else:
                ordered[:] = np.sort(values[i - fallback : i])
            ordered_to = i - 1
            median[i] = (ordered[(fallback - 1) // 2] + ordered[fallback // 2]) / 2
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

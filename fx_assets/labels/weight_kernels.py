"""The compiled loops of the sample weights. Import this module inside functions (numba is heavy)."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def positions(start: np.ndarray, end: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments as numbers: the distinct moments in order, and of each life where among them it begins and ends.

    start: int64 (n,), ascending. end: of the same lives. ends: the same, sorted. Neighbours end close to each other, so
    each search begins where the one before ended.
    """
    n = len(start)
    edges = np.empty(2 * n, np.int64)
    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    i, j, m = 0, 0, 0
    while i < n or j < n:
        moment = start[i] if i < n and (j == n or start[i] <= ends[j]) else ends[j]
        while i < n and start[i] == moment:
            first[i] = m
            i += 1
        while j < n and ends[j] == moment:
            j += 1
        edges[m] = moment
        m += 1
    here = np.int64(0)
    for k in range(n):
        wanted, step = end[k], 1
        low, high = here, here
        while edges[low] > wanted:  # lives end after the first moment
            high, low, step = low, max(low - step, 0), 2 * step
        step = 1
        while edges[high] < wanted:  # and not after the last one
            low, high, step = high, min(high + step, m - 1), 2 * step
        while low < high:
            middle = (low + high) // 2
            if edges[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        here = low
        last[k] = here
    return edges[:m].copy(), first, last


@njit(cache=True, nogil=True)
def mean_share(first: np.ndarray, last: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean over each life [edges[first], edges[last]) of one over the number of lives that hold the moment.

    first, last: int64 (n,), any order. edges: int64 (m,), strictly ascending.
    The shares are summed as whole multiples of a power of two: a running sum of integers has no rounding that depends
    on where it began, and when it wraps around, differences stay right.
    """
    moments = len(edges)
    alive = np.zeros(moments + 1, np.int64)
    longest = np.int64(0)
    for i in range(len(first)):
        alive[first[i]] += 1
        alive[last[i]] -= 1
        longest = max(longest, edges[last[i]] - edges[first[i]])
    unit = 2.0**48 if longest < 2**14 else (2.0**20 if longest < 2**42 else 1.0)
    integral = np.zeros(moments, np.int64)
    count, total = alive[0], np.int64(0)
    for e in range(1, moments):
        if count > 0:
            total += np.int64((edges[e] - edges[e - 1]) * unit / count)
        integral[e] = total
        count += alive[e]
    out = np.empty(len(first))
    for i in range(len(first)):
        life = edges[last[i]] - edges[first[i]]
        out[i] = (integral[last[i]] - integral[first[i]]) / (life * unit)
    return out

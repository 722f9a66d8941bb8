"""The price's path inside one bar, drawn so that it has the bar's open, high, low, close and volume exactly.

The same bar always gets the same path, on every machine: the random numbers are a hash of instrument and time.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from fx_assets.practice.history import ASK, MID, TIME, VOLUME, WIDTH, History

MOST_TICKS_PER_S = 10  # of the stream; a bar's volume beyond that is spread over its ticks


class Ticks(NamedTuple):
    """Of one bar, all int64 and as long: milliseconds since 1970, rising; middle price in points; volume."""

    at: np.ndarray
    mid: np.ndarray
    volume: np.ndarray
    half: int  # bid and ask lie this many points below and above


def draw(history: History, row: int) -> Ticks:
    """The ticks of one bar."""
    bar = history.bars[row]
    start, volume = int(bar[TIME]), int(bar[VOLUME])
    first, high, low, last = (int(p) for p in bar[MID])
    n = max(min(volume, MOST_TICKS_PER_S * history.step), 1)
    noise = _uniforms(zlib.crc32(history.symbol.encode()) << 32 ^ start, 2 * n).reshape(2, n)
    span = history.step * 1000
    # One tick in each n-th of the bar: spread evenly, never two at once.
    at = start * 1000 + np.minimum((np.arange(n) + noise[0]) * (span / n), span - 1).astype("int64")
    apportioned = np.arange(n + 1) * volume // n
    return Ticks(
        at, _walk(noise[1] - 0.5, first, high, low, last), np.diff(apportioned), int(bar[ASK][3] - bar[MID][3])
    )


def bars_of(ticks: Ticks, starts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Bars from ticks: `starts` their opens in seconds, `first` the index of each one's first tick."""
    bars = np.empty((len(starts), WIDTH), "int64")
    bars[:, TIME] = starts
    bars[:, VOLUME] = np.add.reduceat(ticks.volume, first)
    last = np.append(first[1:], len(ticks.at)) - 1
    high, low = np.maximum.reduceat(ticks.mid, first), np.minimum.reduceat(ticks.mid, first)
    mid = np.stack([ticks.mid[first], high, low, ticks.mid[last]], axis=1)
    bars[:, 2:6], bars[:, 6:10], bars[:, 10:14] = mid, mid - ticks.half, mid + ticks.half
    return bars


def _walk(steps: np.ndarray, first: int, high: int, low: int, last: int) -> np.ndarray:
    """A random walk from first to last between low and high that touches both."""
    n = len(steps)
    if n == 1 or high == low:
        return np.full(n, last)
    share = np.arange(n) / (n - 1)
    walk = np.cumsum(steps) - steps[0]
    bridge = walk - share * walk[-1]
    reach = max(float(np.abs(bridge).max()), 1e-9)
    path = np.rint(first + (last - first) * share + bridge * ((high - low) * 0.7 / reach))
    path = np.clip(path, low, high).astype("int64")
    path[0], path[-1] = first, last
    inner = path[1:-1]
    if high > max(first, last):
        inner[top := int(inner.argmax())] = high
    else:
        top = -1
    if low < min(first, last):
        rest = inner if top < 0 or len(inner) < 2 else np.where(np.arange(len(inner)) == top, high + 1, inner)
        inner[int(rest.argmin())] = low
    return path


def _uniforms(seed: int, count: int) -> np.ndarray:
    """Numbers in [0, 1) that depend on the seed only. Source: SplitMix64 (Steele, Lea, Flood 2014)."""
    mask = 2**64 - 1
    z = (np.arange(1, count + 1, dtype="uint64") + np.uint64(seed * 2654435761 & mask)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(float) * 2.0**-53

"""The labels once more, bar by bar in plain Python: what the compiled ones are compared with."""

from math import exp, inf, isnan, log, nan

import numpy as np
import pandas as pd

HOUR_US = 3_600_000_000


def walk(seed: int, rows: int, missing: float = 0.0, flat: float = 0.0, wild: float = 0.0) -> pd.DataFrame:
    """Hourly bars of one instrument on a coarse grid: repeats, gaps, opens away from the close before, wide ranges."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2021-02-20", periods=rows, freq="1h", tz="UTC", unit="us")
    steps = np.where(rng.random(rows) < flat, 0, rng.integers(-20, 21, rows))
    close = np.maximum(13000 + np.cumsum(steps), 100) / 1e4
    opened = np.concatenate([close[:1], close[:-1]]) * (1 + np.where(rng.random(rows) < 0.1, 2e-3, 0.0))
    reach = rng.integers(0, 15, (2, rows)) / 1e4 * np.where(rng.random(rows) < wild, 20.0, 1.0)
    bars = pd.DataFrame({"instrument": "EUR_USD", "time": time, "open": opened})
    bars["high"] = np.maximum(opened, close) * (1 + reach[0])
    bars["low"] = np.minimum(opened, close) * (1 - reach[1] / 20)
    return bars.assign(close=close)[rng.random(rows) >= missing].reset_index(drop=True)


def first_touch(
    bars: pd.DataFrame, i: int, width: float, side: int, up: float, down: float, timeout: int, reach_us: float = inf
) -> tuple[int, float, float]:
    """Row in which it ends, barrier touched and log return, as barrier_kernels.first_touch states; -1, NaN, NaN."""
    unknown = (-1, nan, nan)
    if isnan(width):
        return unknown
    above, below = (up * width, down * width) if side >= 0 else (down * width, up * width)
    entry = float(bars["close"].iloc[i])
    top, bottom = entry * exp(above), entry / exp(below)
    time = bars["time"].astype("int64").to_numpy()
    for j in range(i + 1, min(i + timeout, len(bars) - 1) + 1):
        bar = bars.iloc[j]
        over, under = bar["high"] >= top, bar["low"] <= bottom
        if time[j] - time[i] > reach_us:
            return unknown
        if bar["open"] >= top:
            return j, 1.0, log(bar["open"] / entry)
        if bar["open"] <= bottom:
            return j, -1.0, log(bar["open"] / entry)
        if over and under:
            return {0: unknown, 1: (j, -1.0, -below), -1: (j, 1.0, above)}[side]
        if over:
            return j, 1.0, above
        if under:
            return j, -1.0, -below
        if j == i + timeout:
            return j, 0.0, log(bar["close"] / entry)
    return unknown


def slot_median(
    values: np.ndarray, slot: np.ndarray, asked: int, i: int, time: np.ndarray, count: int, reach: int, own: bool
) -> float:
    """Median of the last `count` values of a slot that row i knows, by numpy."""
    known = [j for j in range(i + own) if slot[j] == asked and not np.isnan(values[j]) and time[i] - time[j] <= reach]
    return float(np.median(values[known[-count:]])) if len(known) >= count else nan


def strided_mean(values: np.ndarray, weights: np.ndarray, stride: int, i: int, time: np.ndarray, reach: int) -> float:
    """The weighted mean of row i, one term after the other."""
    total, mass, whole = 0.0, 0.0, 0.0
    for weight in weights:
        whole += weight
    for k, weight in enumerate(weights):
        j = i - k * stride
        if j < 0 or time[i] - time[j] > reach:
            break
        if not np.isnan(values[j]):
            total += weight * values[j]
            mass += weight
    return total / mass if mass >= 0.5 * whole else nan


def uniqueness(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Average uniqueness by counting at every whole moment; small numbers."""
    alive = np.array([((start <= t) & (t < end)).sum() for t in range(int(end.max(initial=0)))])
    return np.array([np.mean(1.0 / alive[a:b]) for a, b in zip(start, end, strict=True)])

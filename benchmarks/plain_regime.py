"""What kind of market it is, in plain pandas; see plain_pandas.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.plain_technical import Columns, log, root, sign

TREND = 64


def regime(bars: pd.DataFrame) -> Columns:
    """The group regime."""
    return {**_trend(bars), **_memory(bars), **_shape(bars)}


def _trend(bars: pd.DataFrame) -> Columns:
    close = bars["close"]
    logged, change = log(close), log(close).diff()
    clock = pd.Series(np.arange(len(bars), dtype=float), index=bars.index)
    with_time = logged.rolling(TREND).cov(clock)
    out = {
        f"trend_slope_{TREND}": with_time / clock.rolling(TREND).var(),
        f"trend_r2_{TREND}": logged.rolling(TREND).corr(clock) ** 2,
        "up_share_24": ((sign(change) + 1) / 2).rolling(24).mean(),
        "drawdown_120": close / bars["high"].rolling(120).max() - 1,
        "runup_120": close / bars["low"].rolling(120).min() - 1,
    }
    for k in (24, 120):
        out[f"efficiency_ratio_{k}"] = logged.diff(k).abs() / change.abs().rolling(k).sum()
        out[f"scaled_momentum_{k}"] = logged.diff(k) / root((change**2).rolling(k).sum())
    return out


def _memory(bars: pd.DataFrame) -> Columns:
    logged = log(bars["close"])
    change = logged.diff()
    square = {k: (logged.diff(k) ** 2).rolling(120).mean() for k in (1, 2, 4, 8, 16)}
    out = {f"variance_ratio_{k}": square[k] / (k * square[1]) for k in (4, 16)}
    length = np.log(list(square))
    sizes = pd.concat([log(values) for values in square.values()], axis=1)
    centred = length - length.mean()
    out["hurst_120"] = sizes.mul(centred, axis=1).sum(axis=1, skipna=False) / (centred**2).sum() / 2
    for name, values in (("autocorrelation_120", change), ("size_autocorrelation_120", change.abs())):
        out[name] = values.rolling(120).corr(values.shift())
    return out


def _shape(bars: pd.DataFrame) -> Columns:
    change = log(bars["close"]).diff()
    up = (change > 0).astype(int)
    pattern = (4 * up + 2 * up.shift() + up.shift(2)).where(change.shift(2).notna())
    entropy = 0.0
    for which in range(8):
        share = (pattern == which).astype(float).where(pattern.notna()).rolling(120).mean()
        entropy = entropy - share * log(share.where(share > 0.5 / 120, 1.0))
    # pandas estimates those of a population from a sample; the features are of the window itself. In hundredths of a
    # percent, because pandas takes a variance below 1e-14 for none.
    n, points = 120, (1e4 * change).rolling(120)
    return {
        "entropy_120": entropy / np.log(8),
        "skewness_120": points.skew() * (n - 2) / np.sqrt(n * (n - 1)),
        "kurtosis_120": (points.kurt() * (n - 2) * (n - 3) / (n - 1) - 6) / (n + 1),
    }

"""Figures of a series of daily returns: ratios with their bootstrap intervals, drawdown, the last thirty days."""

from __future__ import annotations

from typing import Any

import numpy as np

from fx_assets.evaluation.bootstrap import interval
from fx_assets.evaluation.deflated import sharpe as ratio

__all__ = ["drawdown", "last_days", "ratio", "sharpe_interval", "sortino", "sortino_interval"]

BLOCK_DAYS = 5
RESAMPLES = 1000
LAST_DAYS = 30
_STILL = 1e-15  # a deviation below this is rounding


def sortino(daily: np.ndarray) -> float:
    """Mean over downside deviation (root mean square of min(return, 0) over all days), not annualised.

    NaN without a losing day, as nothing bounds it then; 0 for a series that never moves.
    Source: Sortino and Price (1994), "Performance Measurement in a Downside Risk Framework", target 0.
    """
    daily = np.asarray(daily, float)
    down = float(np.sqrt(np.mean(np.minimum(daily, 0.0) ** 2)))
    if down > _STILL:
        return float(daily.mean()) / down
    return float("nan") if (daily > 0).any() else 0.0


def sharpe_interval(daily: np.ndarray, year: float, seed: int) -> dict[str, float]:
    """Annualised Sharpe ratio {value, low, high}; year: square root of the days in a year."""
    drawn = _resampled(daily, seed)
    deviation = drawn.std(axis=1, ddof=1) if len(daily) > 1 else np.zeros(len(drawn))
    draws = np.divide(drawn.mean(axis=1), deviation, out=np.zeros(len(drawn)), where=deviation > _STILL)
    return interval(ratio(daily) * year, draws * year)


def sortino_interval(daily: np.ndarray, year: float, seed: int) -> dict[str, float]:
    """Annualised Sortino ratio {value, low, high}."""
    drawn = _resampled(daily, seed)
    down = np.sqrt(np.mean(np.minimum(drawn, 0.0) ** 2, axis=1))
    without = np.where((drawn > 0).any(axis=1), np.nan, 0.0)
    draws = np.divide(drawn.mean(axis=1), down, out=without, where=down > _STILL)
    return interval(sortino(daily) * year, draws * year)


def drawdown(net: np.ndarray, moment: np.ndarray) -> float:
    """Deepest fall of the compounded capital from its highest value so far, 0..1.

    net: returns of the whole capital (n,), summed over equal moments and compounded in their order.
    """
    if not len(net):
        return 0.0
    steps, at = np.unique(moment, return_inverse=True)
    equity = np.cumprod(1.0 + np.maximum(np.bincount(at.ravel(), net, minlength=len(steps)), -1.0))
    peak = np.maximum(np.maximum.accumulate(equity), 1.0)
    return float((1.0 - equity / peak).max())


def last_days(
    days: np.ndarray, daily: np.ndarray, day: np.ndarray, steps: np.ndarray, moment: np.ndarray, year: float, seed: int
) -> dict[str, Any]:
    """Figures of the LAST_DAYS calendar days up to the last of `days` (datetime64[D]).

    daily: return of each day; steps, moment: returns and their times (n,), day: the place of each one in `days`.
    """
    recent = days > days[-1] - np.timedelta64(LAST_DAYS, "D")
    inside = recent[day]
    return {
        "sharpe_net": sharpe_interval(daily[recent], year, seed),
        "net_return": float(daily[recent].sum()),
        "max_drawdown": drawdown(steps[inside], moment[inside]),
        "days": int(recent.sum()),
    }


def _resampled(daily: np.ndarray, seed: int) -> np.ndarray:
    """Moving-block resamples (RESAMPLES, days): blocks of BLOCK_DAYS, drawn with replacement."""
    length = min(BLOCK_DAYS, len(daily))
    blocks = -(-len(daily) // length)
    begin = np.random.default_rng(seed).integers(0, len(daily) - length + 1, size=(RESAMPLES, blocks))
    return daily[(begin[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, : len(daily)]]

"""How much of a backtest survives the number of trials: deflated Sharpe ratio and overfitting probability."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

EULER = 0.5772156649015329
SPLITS = 12


def sharpe(returns: np.ndarray) -> float:
    """Mean over standard deviation of one period, not annualised; 0 for a series that never moves."""
    returns = np.asarray(returns, float)
    deviation = returns.std(ddof=1) if len(returns) > 1 else 0.0
    return float(returns.mean() / deviation) if deviation > 1e-15 else 0.0


def deflated_sharpe(returns: np.ndarray, trial_sharpes: np.ndarray, trials: int | None = None) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of all trials reaches by luck.

    returns: period returns of the chosen strategy (n,). trial_sharpes: Sharpe ratio per period (not
        annualised) of every trial, the chosen one included. trials: number of attempts where more were made
        than have a series.
    Returns a probability; NaN for fewer than 3 periods or a series without variance.
    Source: Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio".
    """
    from scipy import stats

    returns, tried = np.asarray(returns, float), np.asarray(trial_sharpes, float)
    n, count = len(returns), max(len(tried), trials or 0)
    if n < 3 or returns.std(ddof=1) <= 1e-15:
        return float("nan")
    expected = 0.0
    if count > 1 and len(tried) > 1:
        highest = (1.0 - EULER) * stats.norm.ppf(1.0 - 1.0 / count) + EULER * stats.norm.ppf(1.0 - 1.0 / (count * np.e))
        expected = float(tried.std(ddof=1) * highest)
    ratio = sharpe(returns)
    centred = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float(np.mean(centred**3)), float(np.mean(centred**4))
    variance = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if variance <= 0.0:
        return float("nan")
    return float(stats.norm.cdf((ratio - expected) * np.sqrt(n - 1.0) / np.sqrt(variance)))


def pbo(performance_matrix: np.ndarray, splits: int = SPLITS) -> float:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    performance_matrix: period returns (periods, strategies). The periods are cut into `splits` (even) pieces;
        for every half of the pieces the strategy with the best Sharpe ratio is looked up in the other half.
    Returns the share of halves whose best strategy does not beat the median of the others there; NaN for
        fewer than two strategies or two periods per piece.
    Source: Bailey, Borwein, Lopez de Prado and Zhu (2015), "The Probability of Backtest Overfitting".
    """
    matrix = np.asarray(performance_matrix, float)
    if matrix.ndim != 2 or matrix.shape[1] < 2 or len(matrix) < 2 * splits or splits % 2:
        return float("nan")
    pieces = np.array_split(matrix, splits)
    sums = np.array([piece.sum(axis=0) for piece in pieces])
    squares = np.array([(piece**2).sum(axis=0) for piece in pieces])
    sizes = np.array([len(piece) for piece in pieces], float)
    chosen = np.array([np.isin(np.arange(splits), half) for half in combinations(range(splits), splits // 2)], float)
    inside = _sharpes(chosen, sums, squares, sizes)
    outside = _sharpes(1.0 - chosen, sums, squares, sizes)
    best = inside.argmax(axis=1)
    mine = outside[np.arange(len(best)), best][:, None]
    rank = (outside < mine).sum(axis=1) + 0.5 * ((outside == mine).sum(axis=1) + 1.0)
    relative = rank / (matrix.shape[1] + 1.0)
    return float(np.mean(np.log(relative / (1.0 - relative)) <= 0.0))


def judge_trials(
    daily: pd.DataFrame, chosen: str, earlier_sharpes: Sequence[float] = (), earlier: int = 0
) -> dict[str, Any]:
    """What is left of the chosen strategy after every trial that was ever made for it.

    daily: net returns, one row for each day and one column for each strategy tried now; chosen: its column.
    earlier_sharpes: Sharpe ratios per day, not annualised, of earlier trials; earlier: how many of those there were,
        with or without a known ratio.
    Returns dsr (deflated by all trials, with the spread of all known ratios), pbo (over the strategies tried now,
    as only they share their days) and trials (their number in all).
    Raises ValueError when the chosen strategy is not among the columns.
    """
    if chosen not in daily.columns:
        raise ValueError(f"{chosen!r} is not among the strategies tried: {', '.join(map(str, daily.columns))}.")
    known = [float(value) for value in earlier_sharpes if np.isfinite(value)]
    ratios = np.array([*(sharpe(daily[name].to_numpy(float)) for name in daily.columns), *known])
    trials = daily.shape[1] + max(earlier, len(known))
    return {
        "dsr": deflated_sharpe(daily[chosen].to_numpy(float), ratios, trials),
        "pbo": pbo(daily.to_numpy(float)),
        "trials": trials,
    }


def _sharpes(chosen: np.ndarray, sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    n = (chosen @ sizes)[:, None]
    mean = chosen @ sums / n
    deviation = np.sqrt(np.maximum(chosen @ squares / n - mean**2, 0.0))
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 1e-15)

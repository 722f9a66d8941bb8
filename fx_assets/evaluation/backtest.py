"""What a sequence of positions would have earned after the spread.

Capital is divided equally between the instruments. A row's position is taken at its decision time and held
for one step; it costs half the spread (relative to the price) per unit of position changed, and where the
next step is missing (weekend, gap, end) it is closed at that cost. Returns of one FX day (17:00 to 17:00 New
York) are summed, and ratios are taken over days.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.evaluation.bootstrap import interval
from fx_assets.features.blocks import NEW_YORK, wall_minute

DAYS_PER_YEAR = 260
BLOCK_DAYS = 5
RESAMPLES = 1000
MULTIPLES = {"0_5x": 0.5, "1x": 1.0, "1_5x": 1.5, "2x": 2.0, "3x": 3.0}


def trading_day(time: np.ndarray) -> np.ndarray:
    """The FX day a UTC moment belongs to, datetime64[D]; named by the date its session ends on."""
    moments = np.asarray(time).astype("datetime64[us]").astype(np.int64)
    return ((wall_minute(moments, NEW_YORK) + 7 * 60) // 1440).astype("datetime64[D]")


def backtest(
    position: np.ndarray,
    forward_return: np.ndarray,
    half_spread: np.ndarray | float,
    time: np.ndarray,
    instrument: np.ndarray,
    bars_per_year: float = DAYS_PER_YEAR,
    step: np.timedelta64 | None = None,
    seed: int = 0,
) -> dict:
    """Figures of a strategy on rows that do not overlap (one row per instrument and step).

    position: -1, 0 or 1 (n,), known at the decision time. forward_return: log return over the step (n,).
    half_spread: half the spread over the price, (n,) or one number. time: decision times, datetime64 UTC.
    instrument: (n,). bars_per_year: daily bars in a year, for annualising.
    step: length of a row; None takes the most common distance between rows of an instrument.
    Returns sharpe_gross and sharpe_net {value, low, high} (annualised; moving-block bootstrap over 5-day
    blocks), net_return and gross_return (sums of daily returns), turnover (position change per instrument and
    day), max_drawdown (of compounded step returns, 0..1), trades, win_rate, profit_factor, exposure, days,
    cost_sensitivity {multiple: {net_return, sharpe}} and daily {date: net return}.
    Raises ValueError for positions outside {-1, 0, 1} and for missing returns.
    """
    position, forward = np.asarray(position, float), np.asarray(forward_return, float)
    if not np.isin(position, (-1.0, 0.0, 1.0)).all() or not np.isfinite(forward).all() or not len(position):
        raise ValueError("positions must be -1, 0 or 1 and every row needs a forward return. Drop unlabelled rows.")
    codes = np.unique(np.asarray(instrument), return_inverse=True)[1].ravel()
    moment = np.asarray(time).astype("datetime64[us]")
    order = np.lexsort((moment, codes))
    position, forward, moment, codes = position[order], forward[order], moment[order], codes[order]
    half = np.broadcast_to(np.asarray(half_spread, float), len(position))[order]
    opened, closed = _changes(position, moment, codes, step)
    gross = position * np.expm1(forward)
    cost = half * (opened + closed)
    share = 1.0 / (codes.max() + 1)
    days, day = np.unique(trading_day(moment), return_inverse=True)
    daily_gross = np.bincount(day, gross * share, minlength=len(days))
    daily_cost = np.bincount(day, cost * share, minlength=len(days))
    daily = daily_gross - daily_cost
    year = np.sqrt(bars_per_year)
    result = {
        "sharpe_gross": _sharpe(daily_gross, year, seed),
        "sharpe_net": _sharpe(daily, year, seed),
        "gross_return": float(daily_gross.sum()),
        "net_return": float(daily.sum()),
        "turnover": float((opened + closed).sum() * share / len(days)),
        "exposure": float(np.abs(position).mean()),
        "max_drawdown": _drawdown((gross - cost) * share, moment),
        "days": len(days),
        "cost_sensitivity": {
            name: {
                "net_return": float((daily_gross - k * daily_cost).sum()),
                "sharpe": _ratio(daily_gross - k * daily_cost) * float(year),
            }
            for name, k in MULTIPLES.items()
        },
        "daily": {str(date): float(value) for date, value in zip(days, daily, strict=True)},
    }
    return result | _trades(gross - cost, opened, position)


def _changes(
    position: np.ndarray, moment: np.ndarray, codes: np.ndarray, step: np.timedelta64 | None
) -> tuple[np.ndarray, np.ndarray]:
    """Position change at the start of each row, and what is closed at its end as no row follows."""
    distance = np.diff(moment)
    same = codes[1:] == codes[:-1]
    if step is None:
        values, counts = np.unique(distance[same], return_counts=True)
        step = values[counts.argmax()] if len(values) else np.timedelta64(0, "us")
    follows = same & (distance <= step)
    before = np.concatenate([[0.0], np.where(follows, position[:-1], 0.0)])
    closed = np.concatenate([np.where(follows, 0.0, np.abs(position[:-1])), np.abs(position[-1:])])
    return np.abs(position - before), closed


def _trades(net: np.ndarray, opened: np.ndarray, position: np.ndarray) -> dict:
    """A trade is a run of rows with one non-zero position, ended by a change, a gap or the end."""
    begins = (opened > 0) & (position != 0)
    number = np.cumsum(begins | ((opened > 0) & (position == 0)))
    held = position != 0
    profit = pd.Series(net[held]).groupby(number[held]).sum().to_numpy()
    # Leaving the market costs in the flat row that follows; that cost belongs to the trade just closed.
    left = np.flatnonzero((position == 0) & (opened > 0))
    if len(left):
        at = np.searchsorted(np.unique(number[held]), number[left - 1])
        np.add.at(profit, at, net[left])
    wins, losses = profit[profit > 0].sum(), -profit[profit < 0].sum()
    return {
        "trades": len(profit),
        "win_rate": float((profit > 0).mean()) if len(profit) else float("nan"),
        "profit_factor": float(wins / losses) if losses > 0 else float("nan"),
    }


def _drawdown(net: np.ndarray, moment: np.ndarray) -> float:
    steps, at = np.unique(moment, return_inverse=True)
    equity = np.cumprod(1.0 + np.maximum(np.bincount(at, net, minlength=len(steps)), -1.0))
    peak = np.maximum(np.maximum.accumulate(equity), 1.0)
    return float((1.0 - equity / peak).max())


def _ratio(daily: np.ndarray) -> float:
    from fx_assets.evaluation.deflated import sharpe

    return sharpe(daily)


def _sharpe(daily: np.ndarray, year: float, seed: int) -> dict[str, float]:
    length = min(BLOCK_DAYS, len(daily))
    blocks = -(-len(daily) // length)
    begin = np.random.default_rng(seed).integers(0, len(daily) - length + 1, size=(RESAMPLES, blocks))
    rows = (begin[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, : len(daily)]
    drawn = daily[rows]
    deviation = drawn.std(axis=1, ddof=1) if len(daily) > 1 else np.zeros(RESAMPLES)
    ratios = np.divide(drawn.mean(axis=1), deviation, out=np.zeros(RESAMPLES), where=deviation > 1e-15)
    return interval(_ratio(daily) * year, ratios * year)

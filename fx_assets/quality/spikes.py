"""Spikes: a bar that leaves the price of the bars around it and comes back, while nothing related moves.

A move that the related instruments share is news, however large; one that does not return is a move.
"""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import Bars, Grid

# Of a normal distribution: the median of absolute deviations times this is one standard deviation.
MAD_TO_SIGMA = 1.4826
RETURNS = 0.25  # at most this share of a spike may be left a bar later
SHARED = 0.25  # a related instrument that moved this share of it (in its own sigmas) shares the move
ALONE = 4.0  # without a related instrument to compare with, a spike must be so many times as large
WICK = 2.0  # highs and lows reach further than closes
MIN_BARS = 8


def spikes(bars: Bars, used: np.ndarray) -> np.ndarray:
    """Rows whose close, high or low is more than spike_z robust standard deviations (the session's median absolute
    return, at least half a typical spread) away from both neighbours' closes, which agree with each other, while no
    instrument that shares a currency moved a quarter as much.

    The first and last bar of a session have but one neighbour and are never judged.
    """
    bad = np.zeros(len(bars), dtype=bool)
    for grid in bars.grids:
        related = bars.market.related[np.ix_(grid.instruments, grid.instruments)]
        grid.gather(_spikes(bars, grid, used, related), bad)
    return bad


def _spikes(bars: Bars, grid: Grid, used: np.ndarray, related: np.ndarray) -> np.ndarray:
    close = np.log(grid.spread(bars.values["close"], used))
    high = np.log(grid.spread(bars.values["high"], used))
    low = np.log(grid.spread(bars.values["low"], used))
    before, after = _shifted(close, 1), _shifted(close, -1)
    sigma = robust_sigma(bars, grid, close)[..., None]
    with np.errstate(invalid="ignore"):
        out = close - before
        back = close - after
        body = np.where(np.sign(out) == np.sign(back), np.minimum(np.abs(out), np.abs(back)), 0.0)
        top, bottom = np.fmax(np.fmax(close, before), after), np.fmin(np.fmin(close, before), after)
        wick = np.fmax(high - top, bottom - low)
        size = np.fmax(body, wick / WICK) / sigma
        # What is left of the move a bar later, measured against its own size.
        returned = np.abs(after - before) <= RETURNS * np.fmax(body, wick)
        reach = np.fmax(np.fmax(np.abs(out), high - before), before - low) / sigma
        reach = np.where(np.isfinite(reach), reach, 0.0)
        candidate = returned & (size > bars.market.limits.spike_z) & np.isfinite(sigma)
    if not candidate.any():
        return candidate
    session, member, slot = np.nonzero(candidate)
    others = np.where(related[member], reach[session, :, slot], -np.inf)
    there = related[member] & np.isfinite(close[session, :, slot]) & np.isfinite(before[session, :, slot])
    others = np.where(there, others, -np.inf)
    most, own = others.max(axis=1), size[session, member, slot]
    alone = ~there.any(axis=1)
    spike = np.where(alone, own > ALONE * bars.market.limits.spike_z, most < SHARED * own)
    candidate[session, member, slot] = spike
    return candidate


def robust_sigma(bars: Bars, grid: Grid, close: np.ndarray) -> np.ndarray:
    """[session, instrument]: standard deviation of a bar's log return by its median absolute value, at least half a
    typical spread; NaN for fewer than MIN_BARS returns.
    """
    moves = np.abs(close - _shifted(close, 1))
    moves.sort(axis=-1)  # missing ones come last
    count = np.isfinite(moves).sum(axis=-1)
    at = np.maximum(count - 1, 0)
    low = np.take_along_axis(moves, (at // 2)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(moves, ((at + 1) // 2)[..., None], axis=-1)[..., 0]
    price = np.exp(np.nanmax(np.where(np.isfinite(close), close, -np.inf), axis=-1))
    floor = 0.5 * bars.market.typical_spread[grid.instruments] / np.where(price > 0, price, np.nan)
    return np.where(count >= MIN_BARS, np.fmax(MAD_TO_SIGMA * (low + high) / 2, floor), np.nan)


def _shifted(grid: np.ndarray, by: int) -> np.ndarray:
    """The value `by` slots earlier (later for a negative one) in the same session; NaN beyond its ends."""
    moved = np.full_like(grid, np.nan)
    if by > 0:
        moved[..., by:] = grid[..., :-by]
    else:
        moved[..., :by] = grid[..., -by:]
    return moved

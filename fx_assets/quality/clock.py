"""A feed whose clock is off by hours: its moves are those of the related instruments, at another time.

The returns of two instruments that share a currency are correlated, and only at the same moment. Where they agree
better when one of them is moved by whole hours, one of the two clocks is wrong; which one, the others tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fx_assets.quality.bars import Bars, Grid
from fx_assets.quality.spikes import robust_sigma

MAX_HOURS = 12
CLIP = 4.0  # robust standard deviations: one shock must not decide
MIN_PAIRS = 12  # bars that two instruments must have in common
GAIN = 40.0  # no session of ten years of the sample's four pairs gains as much; see docs/quality.md
CULPRIT = 0.75  # instruments whose gain comes this near to the largest are named too


@dataclass(frozen=True)
class Shift:
    """An instrument whose clock is off. minutes > 0: its bars carry a later time than they should."""

    session: int
    instrument: int
    minutes: int
    gain: float
    judged_by: str = "the moves of related instruments"


@dataclass(frozen=True)
class Agreement:
    """Sums over bars [session, pair, lag] of the products of two instruments' standardised returns.

    pairs: positions of two instruments. lags: bars by which the first one is moved back, zero included.
    sums: count, product, and the squares of each.
    """

    pairs: tuple[tuple[int, int], ...]
    lags: tuple[int, ...]
    minutes: int
    sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

    def grouped(self, groups: np.ndarray, count: int) -> Agreement:
        """Sessions added up: groups[session] is the group it belongs to."""
        added = []
        for values in self.sums:
            total = np.zeros((count, *values.shape[1:]))
            np.add.at(total, groups, values)
            added.append(total)
        return Agreement(self.pairs, self.lags, self.minutes, (added[0], added[1], added[2], added[3]))

    def evidence(self) -> np.ndarray:
        """[session, pair, lag]: Fisher's z of the correlation, squared: chi-squared with one degree of freedom."""
        n, product, left, right = self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.clip(np.abs(product) / np.sqrt(left * right), 0, 0.999999)
            z = np.arctanh(correlation) * np.sqrt(np.maximum(n - 3, 0))
        return np.where((n >= MIN_PAIRS) & np.isfinite(z), z, 0.0) ** 2

    def shifts(self, instruments: int) -> list[Shift]:
        """The clocks that are off, by session and instrument."""
        if not self.pairs:
            return []
        evidence = self.evidence()
        zero = self.lags.index(0)
        total = np.zeros((evidence.shape[0], instruments, len(self.lags)))
        for at, (one, other) in enumerate(self.pairs):
            total[:, one] += evidence[:, at]
            total[:, other] += evidence[:, at, ::-1]
        gain = total - total[:, :, [zero]]
        best = gain.argmax(axis=2)
        most = np.take_along_axis(gain, best[..., None], axis=2)[..., 0]
        bad = (most > GAIN) & (most >= CULPRIT * most.max(axis=1, keepdims=True))
        return [
            Shift(int(s), int(i), self.lags[best[s, i]] * self.minutes, float(most[s, i]))
            for s, i in zip(*np.nonzero(bad), strict=True)
        ]


def agreements(bars: Bars, used: np.ndarray) -> list[Agreement]:
    """One for each bar length of an hour or less, over the pairs of instruments that share a currency."""
    return [_agreement(bars, grid, used) for grid in bars.grids if grid.minutes <= 60]


def clock_shifts(found: Iterable[Agreement], bars: Bars) -> list[Shift]:
    """Every session's clocks that are off by more than max_clock_offset_minutes."""
    least = bars.market.limits.max_clock_offset_minutes
    shifts = [shift for agreement in found for shift in agreement.shifts(len(bars.market.symbols))]
    return [shift for shift in shifts if abs(shift.minutes) > least]


def _agreement(bars: Bars, grid: Grid, used: np.ndarray) -> Agreement:
    related = bars.market.related[np.ix_(grid.instruments, grid.instruments)]
    places = [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(related)), strict=True)]
    hour = 60 // grid.minutes
    lags = tuple(h * hour for h in range(-MAX_HOURS, MAX_HOURS + 1))
    shape = (grid.shape[0], len(places), len(lags))
    sums = tuple(np.zeros(shape) for _ in range(4))
    result = Agreement(
        tuple((int(grid.instruments[a]), int(grid.instruments[b])) for a, b in places),
        lags,
        grid.minutes,
        (sums[0], sums[1], sums[2], sums[3]),
    )
    if not places or not grid.shape[0]:
        return result
    close = np.log(grid.spread(bars.values["close"], used))
    sigma = robust_sigma(bars, grid, close)[..., None]
    moves = np.full_like(close, np.nan)
    moves[..., 1:] = close[..., 1:] - close[..., :-1]
    with np.errstate(invalid="ignore"):
        scaled = np.clip(moves / sigma, -CLIP, CLIP)
    there = np.isfinite(scaled)
    scaled = np.where(there, scaled, 0.0)
    squares, present = scaled * scaled, there.astype(np.float64)
    slots = grid.shape[2]
    for at, (a, b) in enumerate(places):
        for number, lag in enumerate(lags):
            left, right = slice(max(lag, 0), slots + min(lag, 0)), slice(max(-lag, 0), slots - max(lag, 0))
            sums[0][:, at, number] = _dot(present[:, a, left], present[:, b, right])
            sums[1][:, at, number] = _dot(scaled[:, a, left], scaled[:, b, right])
            sums[2][:, at, number] = _dot(squares[:, a, left], present[:, b, right])
            sums[3][:, at, number] = _dot(present[:, a, left], squares[:, b, right])
    return result


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row; a row's sum does not depend on how many others there are."""
    return (one * other).sum(axis=-1)

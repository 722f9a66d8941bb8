"""Tests that may be looked at as often as one likes: the mathematics only, no policy and no wording.

Each of them bounds the chance of ever raising an alarm, over all looks together, while nothing is wrong. Formulas and
sources: docs/rollouts-statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RATE_FLOOR = 1e-4  # a limit of nought still needs a rate to test against
STEEPER, FURTHER = 4.0, 0.03  # the alternative: four times the rate, but no more than three points above it
SPREAD = 6.0  # where the mixture bound is tightest: about 70 units of variance, some 200 to 300 observations


def alternative(p0: float) -> float:
    """The rate that the test of `p0` looks out for; always one that can be."""
    return min(STEEPER * p0, p0 + FURTHER, (1 + p0) / 2)


def likelihood_ratio(bad: float, n: float, p0: float, p1: float) -> float:
    """Log likelihood of `bad` in `n` at rate p1, less that at rate p0."""
    return bad * math.log(p1 / p0) + (n - bad) * math.log((1 - p1) / (1 - p0))


def split_ratio(bad: float, n: float, other_bad: float, other_n: float) -> float:
    """Log likelihood of how the bad ones of two groups are split between them, if the first has four times the odds,
    less that if the odds are equal. Whatever the common rate is, it drops out.
    """
    if n <= 0 or other_n <= 0:
        return 0.0
    share = n / (n + other_n)
    steeper = STEEPER * share / (1 - share + STEEPER * share)
    return bad * math.log(steeper / share) + other_bad * math.log((1 - steeper) / (1 - share))


def upper_rate(bad: float, n: float, z: float) -> float:
    """The upper end of Wilson's interval for a rate; 1 without observations."""
    if n <= 0:
        return 1.0
    rate, z2 = bad / n, z * z
    spread = z * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return min(1.0, (rate + z2 / (2 * n) + spread) / (1 + z2 / n))


def mixture_bound(variance: float, alpha: float, spread: float = SPREAD) -> float:
    """What a sum of this variance ever exceeds with probability at most `alpha`, if its mean is nought or less."""
    total = variance + spread
    return math.sqrt(total * (math.log(total / spread) - 2 * math.log(alpha)))


@dataclass(frozen=True)
class Score:
    """A sum that is about nought or less while nothing is wrong, and its variance. Sums of several steps add up."""

    value: float = 0.0
    variance: float = 0.0

    def alarm(self, alpha: float) -> float:
        """How far it is on the way to its bound: 1 is an alarm."""
        return max(0.0, self.value) / mixture_bound(self.variance, alpha)


def total_score(scores: Iterable[Score]) -> Score:
    """The sum of independent scores."""
    value = variance = 0.0
    for score in scores:
        value, variance = value + score.value, variance + score.variance
    return Score(value, variance)


def information(n: float, m: float) -> float:
    """How much the comparison of n with m observations knows: n where m is large, half of it where they are equal."""
    return n * m / (n + m) if n and m else 0.0


def shifted_down(bins: Sequence[float], by: float) -> list[float]:
    """Counts moved `by` bins to the left; a fraction is shared between neighbours, the first bin keeps what falls
    out.
    """
    whole, part = divmod(by, 1.0)
    moved = [0.0] * len(bins)
    for i, count in enumerate(bins):
        if count:
            moved[max(0, i - int(whole))] += count * (1 - part)
            moved[max(0, i - int(whole) - 1)] += count * part
    return moved


def rank_score(left: Sequence[float], right: Sequence[float]) -> Score:
    """Whether `left` lies above `right` (both counts in the same bins): the rank sum test of Wilcoxon, Mann and
    Whitney with its correction for ties.
    """
    n, m = sum(left), sum(right)
    weight = information(n, m)
    if not weight:
        return Score()
    below = wins = ties = 0.0
    for a, b in zip(left, right, strict=True):
        wins += a * (below + b / 2)
        below += b
        ties += (a + b) ** 3
    both = n + m
    untied = max(0.0, 1 - ties / both**3)
    return Score(weight * (2 * wins / (n * m) - 1), weight * (both + 1) / both * untied / 3)


def shares(bins: Sequence[float]) -> list[float]:
    """The share of observations up to and including each bin but the last."""
    n, below, found = sum(bins), 0.0, []
    for count in bins[:-1]:
        below += count
        found.append(below / n)
    return found

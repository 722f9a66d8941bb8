"""The gates on trading quality, Sharpe ratio and Brier score, and the verdict of an experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, pvariance

from fx_serving.controller.gates.base import Experiment, GateVerdict
from fx_serving.controller.gates.pairs import Pairs
from fx_serving.controller.gates.sequential import mixture_bound
from fx_serving.policy import RolloutPolicy

# Judged four times a second, while outcomes are read every ten seconds and may be of two weeks: as many are remembered.
HELD = 8
TIMES = 20  # points in time, below which the variance is too poorly known for an alarm


@dataclass(frozen=True)
class Mean:
    """A mean over times, its standard error, and how far it may be off at any look (at most alpha of ever)."""

    value: float
    error: float
    reach: float
    times: int


def mean(values: Sequence[float], alpha: float) -> Mean:
    """The mean of independent values with an interval that holds at all looks together (asymptotically)."""
    n = len(values)
    if n < 2:
        return Mean(values[0] if n else 0.0, math.inf, math.inf, n)
    spread = math.sqrt(pvariance(values))
    reach = spread * mixture_bound(n, alpha) / n if n >= TIMES else math.inf
    return Mean(fmean(values), spread / math.sqrt(n), reach, n)


def sharpe(returns: Sequence[float]) -> float:
    """Mean over standard deviation, per event; nought where nothing varies."""
    spread = math.sqrt(pvariance(returns)) if returns else 0.0
    return fmean(returns) / spread if spread else 0.0


@lru_cache(maxsize=HELD)
def _rise(pairs: Pairs, alpha: float) -> Mean:
    """By how much the candidate's squared error is the larger one."""
    return mean(pairs.rises, alpha)


@lru_cache(maxsize=HELD)
def _ratios(pairs: Pairs) -> tuple[float, float]:
    """Both Sharpe ratios, the candidate's first."""
    return sharpe([mine for mine, _ in pairs.returns]), sharpe([theirs for _, theirs in pairs.returns])


@lru_cache(maxsize=HELD)
def sharpe_gap(pairs: Pairs, keep: float, alpha: float) -> Mean:
    """By how much the candidate's Sharpe ratio falls short of `keep` times the other's."""
    mine, theirs = [a for a, _ in pairs.returns], [b for _, b in pairs.returns]
    lacks = [keep * b - a for a, b in zip(_influence(mine), _influence(theirs), strict=True)]
    found = mean(lacks, alpha)
    ratio, other = _ratios(pairs)
    return Mean(keep * other - ratio, found.error, found.reach, found.times)


def brier_gate(policy: RolloutPolicy, pairs: Pairs | None) -> GateVerdict:
    """Whether its squared error has risen by more than max_brier_rise."""
    limit = policy.max_brier_rise
    if limit is None:
        return GateVerdict(gate="brier", verdict="off", why="max_brier_rise is null")
    if pairs is None or pairs.n < policy.min_outcomes or len(pairs.rises) < 2:
        return _too_few("brier", limit, pairs.n if pairs else 0, policy.min_outcomes)
    found = _rise(pairs, policy.alpha)
    return _judged("brier", found, limit, limit, found.value, pairs.n, policy.min_outcomes, "Brier score")


def sharpe_gate(policy: RolloutPolicy, pairs: Pairs | None) -> GateVerdict:
    """Whether its Sharpe ratio has dropped by more than max_sharpe_drop of the other's."""
    limit = policy.max_sharpe_drop
    if limit is None:
        return GateVerdict(gate="sharpe", verdict="off", why="max_sharpe_drop is null")
    if pairs is None or pairs.traded < policy.min_outcomes or len(pairs.returns) < 2:
        return _too_few("sharpe", limit, pairs.traded if pairs else 0, policy.min_outcomes)
    mine, theirs = _ratios(pairs)
    # Where the other loses money, so much more of a loss is allowed.
    found = sharpe_gap(pairs, 1 - limit if theirs >= 0 else 1 + limit, policy.alpha)
    value = (theirs - mine) / abs(theirs) if theirs else (0.0 if mine >= 0 else 1.0)
    what = f"Sharpe ratio per event {mine:.3f} against {theirs:.3f}, drop"
    return _judged("sharpe", found, 0.0, limit, value, pairs.traded, policy.min_outcomes, what)


def experiment(policy: RolloutPolicy, pairs: Pairs | None, elapsed_s: float) -> Experiment:
    """Which of two versions is better by experiment_metric, as soon as that is certain enough."""
    metric, found, n = policy.experiment_metric, None, 0
    if pairs is not None and metric == "brier" and pairs.rises:
        found, n = _rise(pairs, policy.alpha), pairs.n
    elif pairs is not None and metric == "sharpe" and pairs.returns:
        found, n = sharpe_gap(pairs, 1.0, policy.alpha), pairs.traded
    figures = {"metric": metric, "n": n}
    if found is None or n < policy.min_outcomes or math.isinf(found.reach):
        why = f"{n} of {policy.min_outcomes} outcomes known"
        ended = elapsed_s >= policy.experiment_max_s
        return Experiment(kind="ended" if ended else "undecided", why=why, **figures)
    low, high = -found.value - found.reach, -found.value + found.reach
    figures |= {"value": -found.value, "low": low, "high": high}
    told = f"{metric}: green is better by {-found.value:.4f}, between {low:.4f} and {high:.4f}, over {n} outcomes"
    if low > 0 or high < 0:
        return Experiment(kind="green" if low > 0 else "blue", why=told, **figures)
    if elapsed_s >= policy.experiment_max_s:
        return Experiment(kind="ended", why=f"no difference could be told in the time given; {told}", **figures)
    return Experiment(kind="undecided", why=told, **figures)


def _influence(returns: Sequence[float]) -> list[float]:
    """What each return adds to the error of the Sharpe ratio (its linear approximation)."""
    spread = math.sqrt(pvariance(returns)) if returns else 0.0
    if not spread:
        return [0.0] * len(returns)
    middle, ratio = fmean(returns), sharpe(returns)
    scores = [(r - middle) / spread for r in returns]
    return [z - ratio / 2 * (z * z - 1) for z in scores]


def _too_few(gate: str, limit: float, n: int, needed: int) -> GateVerdict:
    why = f"judged from {needed} outcomes on that both versions predicted, at two times at least; {n} so far"
    return GateVerdict(gate=gate, verdict="off", limit=limit, n=n, needed=needed, why=why)


def _judged(
    gate: str, found: Mean, threshold: float, limit: float, value: float, n: int, needed: int, what: str
) -> GateVerdict:
    """fail above the threshold at all looks; inconclusive where it lies above by more than its standard error."""
    over = found.value - threshold
    statistic = max(0.0, over / found.reach) if found.reach > 0 else (1.0 if over > 0 else 0.0)
    made = {"gate": gate, "value": value, "limit": limit, "n": n, "needed": needed, "statistic": statistic}
    told = f"{what} {value:+.4f} over {n} outcomes at {found.times} times"
    if statistic >= 1 and found.times >= TIMES:
        return GateVerdict(verdict="fail", why=f"{told}; allowed {limit:g}", **made)
    if over > found.error:
        return GateVerdict(verdict="inconclusive", why=f"{told} is above {limit:g}, but no alarm yet", **made)
    return GateVerdict(verdict="pass", why=told, **made)

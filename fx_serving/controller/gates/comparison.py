"""The gates that compare with the deployed version: how much slower it is, and how differently it predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fx_serving.controller.gates.base import GateVerdict, Plan, Sample
from fx_serving.controller.gates.evidence import Pair, served, served_needed, shadowed
from fx_serving.controller.gates.sequential import (
    Score,
    information,
    rank_score,
    shares,
    shifted_down,
    total_score,
)
from fx_serving.evidence import SCORE_BINS
from fx_serving.policy import RolloutPolicy

BINS_PER_DOUBLING = 4  # of fx_serving.evidence.BOUNDS
COMPARABLE = 20  # observations on either side, below which a step's point estimate says nothing
WARM = 50  # answers, below which slowness may be that of a process just started
NOISE = 0.8687  # the mean of Kolmogorov's distribution: how far equal distributions seem apart, times 1/sqrt(n)


def latency_gate(policy: RolloutPolicy, plan: Plan, steps: Sequence[Sample]) -> GateVerdict:
    """Whether its answers take longer than max_latency_ratio times the control group's."""
    limit = policy.max_latency_ratio
    if limit is None:
        return GateVerdict(gate="latency_ratio", verdict="off", why="max_latency_ratio is null")
    if plan.shadow_only:
        return GateVerdict(gate="latency_ratio", verdict="off", limit=limit, why="a dry run answers nobody")
    shift = BINS_PER_DOUBLING * math.log2(limit)
    score = total_score(
        rank_score(shifted_down(pair.candidate.service, shift), pair.control.service) for pair in served(steps)
    )
    warm = sum(sum(step.green.service) for step in steps) >= WARM
    statistic, step = score.alarm(policy.alpha), steps[-1]
    n, m = sum(step.green.service), sum(step.control.service)
    mine, theirs = step.green.quantile_ms(0.5, "service"), step.control.quantile_ms(0.5, "service")
    value = mine / theirs if mine and theirs else None
    needed = min(COMPARABLE, served_needed(plan, step))
    made = {"gate": "latency_ratio", "value": value, "limit": limit, "n": n, "needed": needed, "statistic": statistic}
    told = f"median {mine:.2f} ms against {theirs:.2f} ms of the control group" if mine and theirs else "no figures"
    if statistic >= 1 and warm:
        why = f"answers take more than {limit:g} times as long as the control group's; in this step {told}"
        return GateVerdict(verdict="fail", why=why, **made)
    if m < needed:
        return GateVerdict(gate="latency_ratio", verdict="off", limit=limit, n=n, why=_alone(m))
    if n < needed or value is None:
        return GateVerdict(verdict="inconclusive", why=f"{n} of {needed} answers so far", **made)
    if value > limit:
        why = f"{value:.2f} times as long over {n} answers is above {limit:g}, but no alarm yet; {told}"
        return GateVerdict(verdict="inconclusive", why=why, **made)
    return GateVerdict(verdict="pass", why=f"{value:.2f} times as long over {n} answers; {told}", **made)


def distribution_gate(policy: RolloutPolicy, plan: Plan, steps: Sequence[Sample]) -> GateVerdict:
    """Whether its predictions are distributed too differently: the largest difference of the cumulative shares."""
    limit = policy.max_distribution_shift
    if limit is None:
        return GateVerdict(gate="distribution", verdict="off", why="max_distribution_shift is null")
    pairs = [_same_questions(step) for step in steps]
    statistic = _shift_alarm(pairs, limit, policy.alpha)
    found, known, n, m = _distance(pairs[-1:])
    needed = min(COMPARABLE, plan.min_requests)
    value = max(0.0, found - NOISE / math.sqrt(known)) if known else None
    made = {"gate": "distribution", "value": value, "limit": limit, "n": n, "needed": needed, "statistic": statistic}
    if statistic >= 1:
        whole = _distance(pairs)[0]
        why = f"predictions differ: {whole:.0%} of them lie elsewhere than the deployed version's; allowed {limit:.0%}"
        return GateVerdict(verdict="fail", why=why, **made)
    if m < needed:
        return GateVerdict(gate="distribution", verdict="off", limit=limit, n=n, why=_alone(m))
    if n < needed or value is None:
        return GateVerdict(verdict="inconclusive", why=f"{n} of {needed} predictions so far", **made)
    if value > limit:
        why = f"{value:.1%} of {n} predictions lie elsewhere than the deployed version's, above {limit:.0%}; no alarm"
        return GateVerdict(verdict="inconclusive", why=why, **made)
    return GateVerdict(verdict="pass", why=f"{value:.1%} of {n} predictions lie elsewhere", **made)


def _same_questions(step: Sample) -> Pair:
    """Unseen scores are the candidate's answers to the very questions the other answered, whatever the routing key;
    where there are none, its own answers against the control group's.
    """
    return shadowed([step])[0] if sum(step.shadow.scores) >= COMPARABLE else served([step])[0]


def _alone(m: int) -> str:
    return f"nothing to compare with: {m} requests in the control group of this step"


def _differences(pairs: Sequence[Pair]) -> tuple[list[float], float]:
    """(candidate's less control's cumulative shares, weighted by what each step knows; the sum of the weights)."""
    sums, known = [0.0] * (SCORE_BINS - 1), 0.0
    for pair in pairs:
        weight = information(sum(pair.candidate.scores), sum(pair.control.scores))
        if weight:
            mine, theirs = shares(pair.candidate.scores), shares(pair.control.scores)
            sums = [s + weight * (a - b) for s, a, b in zip(sums, mine, theirs, strict=True)]
            known += weight
    return sums, known


def _distance(pairs: Sequence[Pair]) -> tuple[float, float, int, int]:
    """(largest difference, information, candidate's observations, control's)."""
    sums, known = _differences(pairs)
    n, m = sum(sum(p.candidate.scores) for p in pairs), sum(sum(p.control.scores) for p in pairs)
    return (max(map(abs, sums)) / known if known else 0.0), known, n, m


def _shift_alarm(pairs: Sequence[Pair], limit: float, alpha: float) -> float:
    """Each threshold is tested both ways; alpha is shared among them. A share's variance is at most a quarter."""
    sums, known = _differences(pairs)
    if not known:
        return 0.0
    return Score(max(map(abs, sums)) - limit * known, known / 4).alarm(alpha / (2 * len(sums)))

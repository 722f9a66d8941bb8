"""The gates on shares: errors, and answers slower than the limit. A sequential probability ratio test of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fx_serving.controller.gates.base import GateVerdict, Plan, Sample
from fx_serving.controller.gates.evidence import (
    Measure,
    Pair,
    control_rate,
    has_control,
    rate,
    served,
    served_needed,
    shadowed,
)
from fx_serving.controller.gates.sequential import RATE_FLOOR, alternative, likelihood_ratio, split_ratio
from fx_serving.evidence import SlotEvidence
from fx_serving.policy import RolloutPolicy

SLOW_SHARE = 0.01  # p99: so many answers may be slower than the limit
SHADOW_ALPHA = 0.1  # shadow scores are many: their test gets a tenth of the gate's alpha
UNHEARD_OF = math.log(1e-6)  # a run of failures less likely than this is no accident


def errors(evidence: SlotEvidence) -> tuple[float, int]:
    """Requests the slot could not answer."""
    return evidence.errors, evidence.requests


@dataclass(frozen=True)
class Tested:
    """A test's standing: share of its bound (1 is an alarm), bad, of how many, and the rate allowed."""

    statistic: float
    bad: float
    n: int
    allowed: float


def tested(pairs: Sequence[Pair], measure: Measure, limit: float, bound: float) -> Tested:
    """Whether the candidate's rate is above `limit` and above the control group's, by any look so far.

    Steps with a control group must say both; a step that has none (the candidate answers nearly all) is tested
    against what the control group had before.
    """
    limit = max(limit, RATE_FLOOR)
    compared = [pair for pair in pairs if has_control(pair, measure)]
    alone = [pair for pair in pairs if not has_control(pair, measure)]
    control, allowed = control_rate(pairs, measure), limit
    if control is not None and control[0] > limit:
        allowed = min(control[1], 0.9)
    bad, n = rate(compared, measure)
    above = likelihood_ratio(bad, n, limit, alternative(limit))
    statistic = min(above, sum(split_ratio(*measure(p.candidate), *measure(p.control)) for p in compared)) / bound
    bad_alone, n_alone = rate(alone, measure)
    on_its_own = likelihood_ratio(bad_alone, n_alone, allowed, alternative(allowed)) / bound
    if on_its_own > statistic:
        return Tested(on_its_own, bad_alone, n_alone, allowed)
    return Tested(max(0.0, statistic), bad, n, allowed)


def error_gate(
    policy: RolloutPolicy,
    plan: Plan,
    steps: Sequence[Sample],
    recent: SlotEvidence | None = None,
    recent_control: SlotEvidence | None = None,
) -> GateVerdict:
    """Whether the candidate fails more often than allowed, and more often than the deployed version."""
    limit = policy.max_error_rate
    if limit is None:
        return GateVerdict(gate="errors", verdict="off", why="max_error_rate is null")
    step = steps[-1]
    bound = -math.log(policy.alpha)
    own = tested(served(steps), errors, limit, bound)
    hidden = tested(shadowed(steps), errors, limit, bound if plan.shadow_only else bound - math.log(SHADOW_ALPHA))
    weather = max(own.allowed, _failing(recent_control, policy.consecutive_failures))
    collapsed = recent is not None and _collapsed(recent, weather, policy.consecutive_failures)

    judged_bad, judged = errors(step.shadow if plan.shadow_only else step.green)
    where = ""
    if not plan.shadow_only and judged < plan.min_requests and step.shadow.requests:
        judged_bad, judged = judged_bad + step.shadow.errors, judged + step.shadow.requests
        where = f" ({step.shadow.requests} of them shadow scores)"
    value = judged_bad / judged if judged else None
    made = {
        "gate": "errors",
        "value": value,
        "limit": limit,
        "n": judged,
        "needed": plan.min_requests,
        "statistic": max(own.statistic, hidden.statistic, 1.0 if collapsed else 0.0),
    }
    if collapsed and recent is not None:
        why = f"all of the last {recent.requests} answers failed{_reasons(recent)}"
        return GateVerdict(verdict="fail", why=why, **made)
    for test, what, where_from in ((own, "requests", "green"), (hidden, "shadow scores", "shadow")):
        if test.statistic >= 1:
            share = f"{test.bad:g} errors in {test.n} {what}, {test.bad / test.n:.2%}; allowed {test.allowed:.2%}"
            why = share + _reasons(*(getattr(part, where_from) for part in steps))
            return GateVerdict(verdict="fail", why=why, **made)
    if judged < plan.min_requests:
        return GateVerdict(verdict="inconclusive", why=f"{judged} of {plan.min_requests} requests so far", **made)
    assert value is not None
    if value > limit:
        shared = "; the deployed version fails as often" if own.allowed > max(limit, RATE_FLOOR) else ""
        why = f"{value:.2%} over {judged} requests{where} is above {limit:.2%}, but no alarm yet{shared}"
        return GateVerdict(verdict="inconclusive", why=why, **made)
    return GateVerdict(verdict="pass", why=f"{value:.2%} over {judged} requests{where}", **made)


def p99_gate(policy: RolloutPolicy, plan: Plan, steps: Sequence[Sample]) -> GateVerdict:
    """Whether more than one in a hundred answers is slower than the limit."""
    limit = policy.max_p99_ms
    if limit is None:
        return GateVerdict(gate="p99", verdict="off", why="max_p99_ms is null")
    if plan.shadow_only:
        return GateVerdict(gate="p99", verdict="off", limit=limit, why="a dry run answers nobody")

    def slow(evidence: SlotEvidence) -> tuple[float, int]:
        return evidence.slower_than_ms(limit), sum(evidence.answer)

    own = tested(served(steps), slow, SLOW_SHARE, -math.log(policy.alpha))
    step = steps[-1].green
    step_bad, judged = slow(step)
    needed, value = served_needed(plan, steps[-1]), step.quantile_ms(0.99)
    made = {
        "gate": "p99",
        "value": value,
        "limit": limit,
        "n": judged,
        "needed": needed,
        "statistic": own.statistic,
    }
    if own.statistic >= 1:
        share = f"{own.bad / own.n:.2%}; allowed {own.allowed:.2%}"
        why = f"{own.bad:.0f} of {own.n} answers took longer than {limit:g} ms, {share}"
        return GateVerdict(verdict="fail", why=why, **made)
    if judged < needed or value is None:
        return GateVerdict(verdict="inconclusive", why=f"{judged} of {needed} answers so far", **made)
    if step_bad > SLOW_SHARE * judged:
        why = f"{step_bad:.1f} of {judged} answers took longer than {limit:g} ms (p99 {value:.1f} ms), but no alarm yet"
        return GateVerdict(verdict="inconclusive", why=why, **made)
    return GateVerdict(verdict="pass", why=f"{value:.1f} ms over {judged} answers", **made)


def _failing(control: SlotEvidence | None, at_least: int) -> float:
    """The share of the control group's requests that failed in the last moment; nought where they are too few."""
    return control.errors / control.requests if control is not None and control.requests >= at_least else 0.0


def _collapsed(recent: SlotEvidence, rate: float, at_least: int) -> bool:
    """Whether everything lately failed, more often in a row than chance explains; never where all fail for everybody.

    The totals of a long rollout are slow to turn; a candidate that breaks after an hour must not wait for them.
    """
    n = recent.requests
    if n == 0 or recent.errors < n:
        return False
    return n >= at_least and n * math.log(max(rate, RATE_FLOOR)) <= UNHEARD_OF + 1e-9


def _reasons(*evidence: SlotEvidence) -> str:
    """The reasons of failures, most frequent first."""
    found: dict[str, int] = {}
    for one in evidence:
        for name, count in one.reasons.items():
            found[name] = found.get(name, 0) + count
    told = sorted((item for item in found.items() if item[1] > 0), key=lambda item: (-item[1], item[0]))[:4]
    return f" ({', '.join(f'{name} {count}' for name, count in told)})" if told else ""

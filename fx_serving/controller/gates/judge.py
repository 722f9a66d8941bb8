"""All gates together: may the step end, must it wait, is it to be taken back."""

from __future__ import annotations

from fx_serving.controller.gates.base import GateVerdict, Plan, Sample, Totals, Verdict
from fx_serving.controller.gates.comparison import distribution_gate, latency_gate
from fx_serving.controller.gates.evidence import served_needed
from fx_serving.controller.gates.quality import brier_gate, sharpe_gate
from fx_serving.controller.gates.rates import error_gate, p99_gate
from fx_serving.policy import RolloutPolicy


def gates(policy: RolloutPolicy, plan: Plan, totals: Totals) -> tuple[GateVerdict, ...]:
    """What each gate says: fails by the evidence of the whole rollout, passes by that of the running step."""
    return (
        error_gate(policy, plan, totals.steps, totals.recent, totals.recent_control),
        p99_gate(policy, plan, totals.steps),
        latency_gate(policy, plan, totals.steps),
        distribution_gate(policy, plan, totals.steps),
        sharpe_gate(policy, totals.pairs),
        brier_gate(policy, totals.pairs),
    )


def judge(policy: RolloutPolicy, plan: Plan, totals: Totals, elapsed_s: float) -> Verdict:
    """The verdict on a step begun `elapsed_s` ago.

    A breach is final, however often one looked: each test bounds its false alarms over all looks together. Whatever is
    not known well enough holds the step, for ever unless the policy says how long.
    """
    found = gates(policy, plan, totals)
    failed = [gate for gate in found if gate.verdict == "fail"]
    if failed:
        return Verdict("breach", "; ".join(f"{gate.gate}: {gate.why}" for gate in failed), found)
    if elapsed_s < plan.window_s:
        return Verdict("wait", "window not over", found)
    lacking = _lacking(plan, totals.now)
    open_ = [f"{gate.gate}: {gate.why}" for gate in found if gate.verdict == "inconclusive"]
    if lacking or open_:
        why = lacking or "; ".join(open_)
        if policy.hold_timeout_s is not None and elapsed_s >= policy.hold_timeout_s:
            return Verdict("expired", f"want of evidence within {policy.hold_timeout_s:g} s: {why}", found)
        return Verdict("hold", why, found)
    return Verdict("pass", "; ".join(f"{gate.gate}: {gate.why}" for gate in found if gate.verdict == "pass"), found)


def _lacking(plan: Plan, step: Sample) -> str | None:
    """What the step still lacks in requests."""
    own, unseen = step.green.requests, step.shadow.requests
    if plan.shadow_only:
        return None if unseen >= plan.min_requests else f"{unseen} of {plan.min_requests} shadow scores so far"
    if own >= plan.min_requests:
        return None
    if own + unseen < plan.min_requests:
        also = f" (with {unseen} shadow scores)" if unseen else ""
        return f"{own + unseen} of {plan.min_requests} requests so far{also}"
    needed = served_needed(plan, step)
    return None if own >= needed else f"{own} of {needed} requests so far; shadow scores cannot stand for these"

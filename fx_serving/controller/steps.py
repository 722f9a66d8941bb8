"""How a rollout changes: one event for each change, a step begun, a step ended, the end. Pure functions."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fx_serving.controller.facts import StepPlan
from fx_serving.controller.gates import GateVerdict, Totals, Verdict, judge
from fx_serving.controller.rollout import CONTROLLER, FINISHED, Event, Rollout, State, Step

log = logging.getLogger("fx_serving.controller")


def to(
    rollout: Rollout, now: datetime, why: str, *, actor: str = CONTROLLER, detail: Any = None, **changes: Any
) -> Rollout:
    """The next rollout; every change is an event. what: the event's name, where it is not the state's."""
    state, weight = changes.get("state", rollout.state), changes.get("weight", rollout.weight)
    what = changes.pop("what", None) or (f"{state} {weight:g} %" if state in ("canary", "baking") else state)
    if state in FINISHED:
        changes |= {"finished_at": now, "reason": why, "awaiting": None, "paused": False, "shadow": False}
    event = Event(now, what, why, actor, detail or {})
    return msgspec.structs.replace(rollout, events=(*rollout.events, event), **changes)


def finish(
    rollout: Rollout,
    now: datetime,
    state: State,
    why: str,
    *,
    totals: Totals | None = None,
    verdict: Verdict | None = None,
    actor: str = CONTROLLER,
    **changes: Any,
) -> Rollout:
    """The end: no traffic for the candidate, and the running step closed with its figures."""
    done = end_step(rollout, now, "rolled_back" if state == "failed" else state, totals, verdict)
    detail = figures(totals, verdict)
    return to(done, now, why, actor=actor, detail=detail, state=state, weight=0.0, **changes)


def figures(totals: Totals | None, verdict: Verdict | None = None) -> dict[str, Any]:
    """The figures behind a decision, for the audit trail: the running step's counts, and every gate."""
    detail: dict[str, Any] = {}
    if totals is not None and totals.steps:
        for slot in ("green", "control", "shadow"):
            counts = getattr(totals.steps[-1], slot)
            if counts.requests:
                detail[slot] = {
                    "requests": counts.requests,
                    "errors": counts.errors,
                    "p99_ms": counts.quantile_ms(0.99, "service" if slot == "shadow" else "answer"),
                    "reasons": {name: n for name, n in counts.reasons.items() if n},
                }
    if verdict is not None:
        detail["gates"] = [msgspec.to_builtins(gate) for gate in verdict.gates if gate.verdict != "off"]
    return detail


def running_plan(rollout: Rollout) -> StepPlan:
    """The step in force, with an operator's weight where there is one."""
    plan = rollout.plan_of(rollout.step)
    if rollout.manual is None:
        return plan
    return msgspec.structs.replace(plan, weight=rollout.manual, instruments=None)


def start_step(
    rollout: Rollout, now: datetime, index: int, why: str, *, actor: str = CONTROLLER, detail: Any = None, **more: Any
) -> Rollout:
    """Step `index` from its beginning."""
    changed = msgspec.structs.replace(rollout, step=index, **more)
    plan = running_plan(changed)
    step = Step(
        weight=plan.weight,
        instruments=plan.instruments,
        started_at=now,
        window_s=plan.window_s,
        min_requests=plan.min_requests,
        ends_not_before=now + timedelta(seconds=plan.window_s),
    )
    last = index == rollout.last_step and rollout.kind == "canary" and not rollout.dry_run
    everyone = plan.weight >= 100 and plan.instruments is None
    return to(
        changed,
        now,
        why,
        actor=actor,
        detail=detail,
        state="baking" if last else "canary",
        weight=plan.weight,
        instruments=plan.instruments,
        shadow=(rollout.settings.shadow or rollout.dry_run) and not everyone,
        steps=(*rollout.steps, step),
        gates=(),
        live_since=rollout.live_since or now,
        awaiting=None,
        holding=False,
    )


def end_step(
    rollout: Rollout, now: datetime, outcome: str, totals: Totals | None, verdict: Verdict | None = None
) -> Rollout:
    """The running step closed, with the gates as they stand; the same rollout if none runs."""
    if not rollout.steps or rollout.steps[-1].ended_at is not None:
        return rollout
    last = with_totals(rollout.steps[-1], totals, shadow=rollout.dry_run)
    gates = verdict.gates if verdict else _judged(rollout, last, now, totals)
    last = msgspec.structs.replace(last, ended_at=now, outcome=outcome, gates=gates)
    samples = (*rollout.samples, totals.steps[-1]) if totals and totals.steps else rollout.samples
    return msgspec.structs.replace(rollout, steps=(*rollout.steps[:-1], last), samples=samples, gates=gates)


def _judged(rollout: Rollout, step: Step, now: datetime, totals: Totals | None) -> tuple[GateVerdict, ...]:
    """The gates at the end of a step that an order ends."""
    if totals is None or not totals.steps:
        return ()
    try:
        return judge(rollout.settings, running_plan(rollout), totals, (now - step.started_at).total_seconds()).gates
    except Exception:  # an order, most of all to stop, is carried out even where the evidence cannot be judged
        log.exception("rollout %s: its gates could not be judged at the end of a step", rollout.id)
        return ()


def with_totals(step: Step, totals: Totals | None, *, shadow: bool = False) -> Step:
    """The step with its evidence so far; of a dry run that of the unseen scores."""
    if totals is None or not totals.steps:
        return step
    counts = totals.steps[-1].shadow if shadow else totals.steps[-1].green
    n = counts.requests
    return msgspec.structs.replace(
        step,
        requests=n,
        errors=counts.errors,
        error_rate=counts.errors / n if n else None,
        p99_ms=counts.quantile_ms(0.99, "service" if shadow else "answer"),
    )

"""The rollout state machine: pure transitions from (rollout, evidence, now) to the next rollout. No IO.

queued -> verifying -> deploying -> canary(step 0..n) -> finalizing -> succeeded
                  |            |              |               |
                failed       failed      rolled_back     rolled_back    (abort: -> aborted till there)

A model without a deployed version has nothing to compare with: verifying -> finalizing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from fx_serving.config import RolloutPolicy
from fx_serving.controller.gates import Window, judge

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
State = Literal[
    "queued",
    "verifying",
    "deploying",
    "canary",
    "finalizing",
    "succeeded",
    "rolled_back",
    "failed",
    "aborted",
]
FINISHED = frozenset({"succeeded", "rolled_back", "failed", "aborted"})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step's evidence; outcome passed, rolled_back, interrupted or aborted; None while it runs."""

    weight: float
    started_at: Utc
    ended_at: Utc | None = None
    requests: int = 0
    errors: int = 0
    error_rate: float | None = None
    p99_ms: float | None = None
    outcome: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One thing that happened, and why."""

    at: Utc
    what: str
    why: str


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout; immutable.

    `step` is the index into policy steps; `breaches` counts bad judgements in a row.
    """

    id: str
    model: str
    version: str
    from_version: str | None
    state: State
    weight: float
    created_at: Utc
    finished_at: Utc | None = None
    reason: str | None = None
    policy: dict[str, Any]
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    step: int = 0
    breaches: int = 0
    judged_requests: int = 0
    holding: bool = False
    request_id: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in FINISHED

    def view(self) -> dict[str, Any]:
        """The public JSON form."""
        hidden = ("step", "breaches", "judged_requests", "holding", "request_id")
        content = msgspec.to_builtins(self)
        content = {name: value for name, value in content.items() if name not in hidden}
        return content | {"steps": list(content["steps"]), "events": list(content["events"])}


@dataclass(frozen=True)
class Evidence:
    """What is known now. elapsed_s: since the current state (or canary step) began, on the monotonic clock.

    verified: None while running, "" when good, else the reason for refusing. applied: every live worker
    confirms the published table. refused: a worker's reason for not serving the version. bundle: the bundle's
    folder exists.
    """

    elapsed_s: float = 0.0
    verified: str | None = None
    applied: bool = False
    refused: str | None = None
    bundle: bool = True
    window: Window = field(default_factory=Window)


def begin(
    id: str,
    model: str,
    version: str,
    from_version: str | None,
    policy: RolloutPolicy,
    now: datetime,
    request_id: str | None = None,
) -> Rollout:
    """A new rollout, queued."""
    why = f"from version {from_version}" if from_version else "first deployment of this model"
    return Rollout(
        id=id,
        model=model,
        version=version,
        from_version=from_version,
        state="queued",
        weight=0.0,
        created_at=now,
        policy=policy.model_dump(mode="json"),
        events=(Event(now, "queued", why),),
        request_id=request_id,
    )


def _to(rollout: Rollout, now: datetime, why: str, **changes: Any) -> Rollout:
    """The next rollout; a change of state or weight becomes an event."""
    state, weight = changes.get("state", rollout.state), changes.get("weight", rollout.weight)
    what = f"canary {weight:g} %" if state == "canary" else state
    if state in FINISHED:
        changes |= {"finished_at": now, "reason": why}
    return msgspec.structs.replace(rollout, events=(*rollout.events, Event(now, what, why)), **changes)


def advance(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    """The next state; the same object if nothing happened."""
    if rollout.finished:
        return rollout
    if not evidence.bundle and rollout.state not in ("queued", "finalizing"):
        return _finish(rollout, evidence, now, _given_up(rollout), "the bundle is gone; export it again")
    return _TRANSITIONS[rollout.state](rollout, evidence, now)


def _queued(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    return _to(rollout, now, "hashes, schema and golden rows are checked in a process of its own", state="verifying")


def _verifying(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if evidence.verified is None:
        return rollout
    if evidence.verified:
        return _finish(rollout, evidence, now, "failed", f"bundle refused: {evidence.verified}")
    if rollout.from_version is None:
        why = "first deployment: there is nothing to compare with, so it takes all traffic at once"
        step = Step(weight=100.0, started_at=now, ended_at=now, outcome="first deployment")
        return _to(rollout, now, why, state="finalizing", weight=100.0, steps=(step,))
    return _to(rollout, now, "bundle verified; workers load it", state="deploying", weight=0.0)


def _deploying(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if evidence.refused:
        why = f"a worker refused the bundle: {evidence.refused}"
        return _finish(rollout, evidence, now, _given_up(rollout), why)
    if evidence.applied:
        return _start_step(rollout, now, rollout.step, "all workers hold it ready")
    limit = _policy(rollout).apply_timeout_s
    if evidence.elapsed_s > limit:
        why = f"not all workers held it ready within {limit:g} s"
        return _finish(rollout, evidence, now, _given_up(rollout), why)
    return rollout


def _canary(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    policy, window = _policy(rollout), evidence.window
    if evidence.refused:
        return _finish(rollout, evidence, now, "rolled_back", f"a worker lost the candidate: {evidence.refused}")
    if not evidence.applied:  # counts under another table are no evidence
        limit = policy.apply_timeout_s + policy.hold_timeout_s
        if evidence.elapsed_s > limit:
            return _finish(rollout, evidence, now, "rolled_back", "workers do not follow the routing table")
        return rollout
    verdict = judge(policy, window, evidence.elapsed_s)
    if verdict.kind == "pass":
        done = _end_step(rollout, window, now, "passed")
        if rollout.step + 1 < len(policy.steps):
            return _start_step(done, now, rollout.step + 1, verdict.why)
        why = f"{verdict.why}; version {rollout.version} becomes blue"
        return _to(done, now, why, state="finalizing", weight=100.0)
    if verdict.kind == "expired":
        return _finish(rollout, evidence, now, "rolled_back", verdict.why)
    if verdict.kind == "breach":
        if window.requests <= rollout.judged_requests:
            if evidence.elapsed_s > policy.hold_timeout_s:
                return _finish(rollout, evidence, now, "rolled_back", verdict.why)
            return rollout  # the same evidence again is not another failure
        breaches = rollout.breaches + 1
        if breaches >= policy.consecutive_failures:
            return _finish(rollout, evidence, now, "rolled_back", verdict.why)
        return _to(rollout, now, verdict.why, breaches=breaches, judged_requests=window.requests)
    if rollout.breaches:
        return _to(rollout, now, f"recovered: {verdict.why}", breaches=0, judged_requests=0)
    if verdict.kind == "hold" and not rollout.holding:
        return _to(rollout, now, f"holding: {verdict.why}", holding=True)
    return rollout


def _finalizing(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    first = rollout.from_version is None
    if evidence.refused:
        why = f"a worker refused it as blue: {evidence.refused}"
        return _finish(rollout, evidence, now, "failed" if first else "rolled_back", why)
    if evidence.applied:
        return _to(rollout, now, f"version {rollout.version} answers everywhere", state="succeeded", weight=100.0)
    limit = _policy(rollout).apply_timeout_s
    if evidence.elapsed_s > limit:
        why = f"not all workers took it as blue within {limit:g} s"
        return _finish(rollout, evidence, now, "failed" if first else "rolled_back", why)
    return rollout


_TRANSITIONS = {
    "queued": _queued,
    "verifying": _verifying,
    "deploying": _deploying,
    "canary": _canary,
    "finalizing": _finalizing,
}


def abort(rollout: Rollout, evidence: Evidence, now: datetime, why: str) -> Rollout:
    """Stopped by a person. ValueError if it is finished or already finalizing."""
    if rollout.finished:
        raise ValueError(f"rollout {rollout.id} is {rollout.state} already")
    if rollout.state == "finalizing":
        raise ValueError(
            f"rollout {rollout.id} is finalizing: version {rollout.version} already answers everywhere. "
            f"To go back, roll out version {rollout.from_version}."
        )
    return _finish(rollout, evidence, now, "aborted", why)


def recover(rollout: Rollout, now: datetime) -> Rollout:
    """How an unfinished rollout goes on after the controller was gone.

    Checks and loading are repeated; a canary step is begun anew, since what happened meanwhile was not
    watched.
    """
    why = "the controller was restarted"
    if rollout.state == "verifying":
        return _to(rollout, now, f"{why}; verified again", state="queued")
    if rollout.state == "canary":
        done = _end_step(rollout, None, now, "interrupted")
        why = f"{why}; step {rollout.step + 1} begins anew once workers confirm"
        return _to(done, now, why, state="deploying", weight=0.0, breaches=0, judged_requests=0, holding=False)
    return rollout


def _given_up(rollout: Rollout) -> State:
    """How an end before finalizing is called: rolled back if it ever had traffic, else failed."""
    return "rolled_back" if rollout.steps else "failed"


def _policy(rollout: Rollout) -> RolloutPolicy:
    return RolloutPolicy.model_validate(rollout.policy)


def _start_step(rollout: Rollout, now: datetime, index: int, why: str) -> Rollout:
    weight = float(_policy(rollout).steps[index])
    steps = (*rollout.steps, Step(weight=weight, started_at=now))
    return _to(
        rollout,
        now,
        why,
        state="canary",
        weight=weight,
        step=index,
        steps=steps,
        breaches=0,
        judged_requests=0,
        holding=False,
    )


def _end_step(rollout: Rollout, window: Window | None, now: datetime, outcome: str) -> Rollout:
    if not rollout.steps or rollout.steps[-1].ended_at is not None:
        return rollout
    return msgspec.structs.replace(
        rollout,
        steps=(
            *rollout.steps[:-1],
            msgspec.structs.replace(with_window(rollout.steps[-1], window), ended_at=now, outcome=outcome),
        ),
    )


def with_window(step: Step, window: Window | None) -> Step:
    """The step with its evidence so far."""
    if window is None:
        return step
    return msgspec.structs.replace(
        step,
        requests=window.requests,
        errors=window.errors,
        error_rate=window.error_rate,
        p99_ms=window.p99_ms,
    )


def _finish(rollout: Rollout, evidence: Evidence, now: datetime, state: State, why: str) -> Rollout:
    window = evidence.window if rollout.state == "canary" else None
    done = _end_step(rollout, window, now, state if state != "failed" else "rolled_back")
    return _to(done, now, why, state=state, weight=0.0)

"""A rollout as it is kept and shown: its states, steps and events. Transitions are in machine.py and orders.py.

queued -> verifying -> deploying -> testing -> canary (step 0..n) -> baking -> finalizing -> succeeded
             |             |           |             |                 |           |             |
           failed        failed      failed     rolled_back       rolled_back  rolled_back   rolled_back (by hand)

A person can abort until finalizing, and roll back until the end and after it. A newer candidate supersedes one that is
not yet baking. An experiment (kind ab) and a dry run end concluded, with a verdict and without traffic.
A model without a deployed version has nothing to compare with: verifying -> finalizing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from fx_serving.controller.facts import StepPlan, Suite, plan
from fx_serving.controller.gates import GateVerdict, Sample
from fx_serving.policy import RolloutPolicy

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
State = Literal[
    "queued",
    "verifying",
    "deploying",
    "testing",
    "canary",
    "baking",
    "finalizing",
    "succeeded",
    "rolled_back",
    "failed",
    "aborted",
    "superseded",
    "concluded",
]
FINISHED = frozenset({"succeeded", "rolled_back", "failed", "aborted", "superseded", "concluded"})
#: States in which the candidate may have traffic; it has been verified and tested by then.
LIVE = frozenset({"canary", "baking"})
CONTROLLER = "controller"
_HIDDEN = (
    "step", "holding", "request_id", "approved", "manual", "samples", "known_instruments", "checked", "live_since",
)  # fmt: skip


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step's evidence; outcome None while it runs."""

    weight: float
    started_at: Utc
    instruments: tuple[str, ...] | None = None
    window_s: float = 0.0
    min_requests: int = 0
    ends_not_before: Utc | None = None
    ended_at: Utc | None = None
    requests: int = 0
    errors: int = 0
    error_rate: float | None = None
    p99_ms: float | None = None
    gates: tuple[GateVerdict, ...] = ()
    outcome: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One thing that happened, why, and by whom; detail: the figures behind it."""

    at: Utc
    what: str
    why: str
    actor: str = CONTROLLER
    detail: dict[str, Any] = {}


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout; immutable.

    `step`: index into the policy's steps. `approved`: steps up to this one may begin. `manual`: the weight an operator
    gave. `samples`: what was counted in each ended step. `checked`: the bundle was verified and the suite passed.
    """

    id: str
    model: str
    version: str
    from_version: str | None = None
    kind: Literal["canary", "ab"] = "canary"
    dry_run: bool = False
    actor: str = CONTROLLER
    state: State
    weight: float
    instruments: tuple[str, ...] | None = None
    salt: str = ""
    shadow: bool = False
    created_at: Utc
    finished_at: Utc | None = None
    reason: str | None = None
    policy: dict[str, Any]
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    suite: Suite | None = None
    gates: tuple[GateVerdict, ...] = ()
    verdict: dict[str, Any] | None = None
    paused: bool = False
    awaiting: Literal["approval", "evidence"] | None = None
    superseded_by: str | None = None
    step: int = 0
    holding: bool = False
    request_id: str | None = None
    approved: int = -1
    manual: float | None = None
    samples: tuple[Sample, ...] = ()
    known_instruments: tuple[str, ...] = ()
    checked: bool = False
    live_since: Utc | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in FINISHED

    @property
    def live(self) -> bool:
        """Whether the candidate may have traffic now."""
        return self.state in LIVE

    @property
    def settings(self) -> RolloutPolicy:
        """The policy."""
        return RolloutPolicy.model_validate(self.policy)

    def plan_of(self, index: int) -> StepPlan:
        """Step `index` as it is to be run: an experiment and a dry run have one step of their own."""
        policy = self.settings
        if self.kind == "ab":
            return StepPlan(weight=policy.split, window_s=policy.window_s, min_requests=policy.min_requests)
        if self.dry_run:
            return StepPlan(weight=0.0, window_s=policy.window_s, min_requests=policy.min_requests, shadow_only=True)
        return plan(policy, index, self.known_instruments)

    @property
    def last_step(self) -> int:
        """The index of the last step."""
        return 0 if self.kind == "ab" or self.dry_run else len(self.policy["steps"]) - 1

    def view(self) -> dict[str, Any]:
        """The public JSON form."""
        content = msgspec.to_builtins(self)
        content = {name: value for name, value in content.items() if name not in _HIDDEN}
        for name in ("steps", "events", "gates"):
            content[name] = list(content[name])
        return content


def begin(
    id: str,
    model: str,
    version: str,
    from_version: str | None,
    policy: RolloutPolicy,
    now: datetime,
    request_id: str | None = None,
    *,
    kind: Literal["canary", "ab"] = "canary",
    dry_run: bool = False,
    actor: str = CONTROLLER,
    reason: str | None = None,
) -> Rollout:
    """A new rollout, queued."""
    what = "experiment beside" if kind == "ab" else "dry run beside" if dry_run else "from"
    why = f"{what} version {from_version}" if from_version else "first deployment of this model"
    return Rollout(
        id=id,
        model=model,
        version=version,
        from_version=from_version,
        kind=kind,
        dry_run=dry_run,
        actor=actor,
        state="queued",
        weight=0.0,
        created_at=now,
        policy=policy.model_dump(mode="json"),
        events=(Event(now, "queued", f"{why}: {reason}" if reason else why, actor),),
        request_id=request_id,
    )

"""A step with nothing left open, and what the smoke test found: plain structs."""

from __future__ import annotations

import msgspec

from fx_serving.policy import RolloutPolicy


class StepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A step as the policy wants it, with nothing left open. shadow_only: a dry run, where shadow counts as green."""

    weight: float
    instruments: tuple[str, ...] | None = None
    window_s: float = 0.0
    min_requests: int = 1
    approval: bool = False
    shadow_only: bool = False


def plan(policy: RolloutPolicy, index: int, instruments: tuple[str, ...]) -> StepPlan:
    """Step `index` of a policy for a model of these instruments."""
    step = policy.steps[index]
    chosen = instruments[: step.instruments] if isinstance(step.instruments, int) else step.instruments
    return StepPlan(
        weight=step.weight,
        instruments=chosen,
        window_s=policy.window_of(index),
        min_requests=policy.requests_of(index),
        approval=step.approval,
    )


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """What the smoke test found."""

    passed: int
    total: int
    failures: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """passed / total."""
        return self.passed / self.total if self.total else 0.0

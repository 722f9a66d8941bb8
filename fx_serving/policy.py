"""The policy of a rollout: steps, windows, gates and limits, with their defaults. Shapes and checks, no behaviour."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

YEAR_S = 366 * 86_400.0
MANY = 1_000_000_000
Instruments = Annotated[int, Field(ge=1, strict=True)] | Annotated[tuple[str, ...], Field(min_length=1)] | None
"""Whose requests may go to the candidate: all, the first n of its manifest, or these."""


class Strict(BaseModel):
    """Settings: unknown names and what is no finite number are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PolicyStep(Strict):
    """One step of a canary. What is not stated here is taken from the policy."""

    weight: float = Field(gt=0, le=100)
    instruments: Instruments = None
    window_s: float | None = Field(default=None, ge=0, le=YEAR_S)
    min_requests: int | None = Field(default=None, ge=1, le=MANY)
    approval: bool = False


SHIPPED_STEPS = (
    PolicyStep(weight=5, instruments=2, window_s=3600),
    PolicyStep(weight=25, window_s=1800),
    PolicyStep(weight=50, window_s=1800),
    PolicyStep(weight=100, window_s=3600),
)


class RolloutPolicy(Strict):
    """When a rollout goes on, holds, or goes back. Times in seconds, weights in per cent; null turns a gate off."""

    steps: Annotated[tuple[PolicyStep, ...], Field(min_length=1, max_length=20)] = SHIPPED_STEPS
    window_s: float = Field(default=60, ge=0, le=YEAR_S)
    min_requests: int = Field(default=500, ge=1, le=MANY)
    suite_min_share: float = Field(default=0.95, ge=0, le=1)
    suite_cases: int = Field(default=40, ge=1, le=1000)
    max_error_rate: float | None = Field(default=0.01, ge=0, lt=1)
    max_p99_ms: float | None = Field(default=200, gt=0, le=3_600_000)
    max_latency_ratio: float | None = Field(default=1.42, ge=1, le=1000)
    max_distribution_shift: float | None = Field(default=0.15, gt=0, lt=1)
    max_sharpe_drop: float | None = Field(default=0.20, ge=0, le=10)
    max_brier_rise: float | None = Field(default=0.02, ge=0, le=1)
    min_outcomes: int = Field(default=200, ge=2, le=MANY)
    alpha: float = Field(default=0.01, ge=1e-9, le=0.5)
    consecutive_failures: int = Field(default=3, ge=1, le=MANY)
    hold_timeout_s: float | None = Field(default=None, gt=0, le=YEAR_S)
    apply_timeout_s: float = Field(default=60, gt=0, le=YEAR_S)
    shadow: bool = True
    supersede: Literal["running", "queued"] = "running"
    split: float = Field(default=50, gt=0, lt=100)
    experiment_max_s: float = Field(default=1_209_600, gt=0, le=YEAR_S)
    experiment_metric: Literal["brier", "sharpe"] = "brier"

    @field_validator("steps", mode="before")
    @classmethod
    def _plain_numbers(cls, steps: Any) -> Any:
        """A number alone is a step of that weight."""
        if not isinstance(steps, list | tuple):
            return steps
        numbers = (int, float)
        return [{"weight": s} if isinstance(s, numbers) and not isinstance(s, bool) else s for s in steps]

    @field_validator("steps")
    @classmethod
    def _widening_to_all(cls, steps: tuple[PolicyStep, ...]) -> tuple[PolicyStep, ...]:
        for before, after in pairwise(steps):
            kept = before.instruments == after.instruments
            if not kept and not _wider(before.instruments, after.instruments):
                raise ValueError("must keep or add instruments at each step: no request returns to blue on the way")
            if after.weight < before.weight or (kept and after.weight == before.weight):
                raise ValueError("must rise strictly (or add instruments) and end at 100")
        if steps[-1].weight != 100 or steps[-1].instruments is not None:
            raise ValueError("must rise strictly (or add instruments) and end at 100 for all instruments")
        return steps

    def window_of(self, step: int) -> float:
        """Seconds this step lasts at least."""
        own = self.steps[step].window_s
        return self.window_s if own is None else own

    def requests_of(self, step: int) -> int:
        """Canary requests this step needs at least."""
        own = self.steps[step].min_requests
        return self.min_requests if own is None else own


def _wider(before: Instruments, after: Instruments) -> bool:
    """Whether every instrument of `before` is in `after`, and more. A number and a list cannot be compared."""
    if before is None or after is None:
        return after is None and before is not None
    if isinstance(before, int) and isinstance(after, int):
        return after > before
    if isinstance(before, tuple) and isinstance(after, tuple):
        return set(after) > set(before)
    return False

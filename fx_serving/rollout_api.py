"""The rollout part of the HTTP interface as models: shared by the controller and by the workers that forward
to it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fx_serving.client.bundle import NAME_PATTERN, valid_name

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=128)]


class RolloutBody(BaseModel):
    """Which version to roll out. `policy` overrides single values of serving.yaml's rollout section."""

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        json_schema_extra={
            "examples": [{"model": "move_60m", "version": "4", "policy": {"steps": [10, 50, 100], "window_s": 30}}]
        },
    )
    model: Name
    version: Name
    policy: dict[str, Any] | None = None
    request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None = Field(
        default=None, description="the same id again gives the same rollout"
    )

    @field_validator("model", "version")
    @classmethod
    def _no_dots(cls, value: str) -> str:
        if not valid_name(value):
            raise ValueError(f"{value!r} is not a valid name: letters, digits, '.', '_', '-', and no '..'")
        return value


class AbortBody(BaseModel):
    """Why a rollout is stopped."""

    model_config = ConfigDict(extra="forbid")
    reason: str | None = Field(default=None, max_length=500)


class StepView(BaseModel):
    """One step's evidence."""

    weight: float
    started_at: str
    ended_at: str | None
    requests: int
    errors: int
    error_rate: float | None
    p99_ms: float | None
    outcome: str | None


class EventView(BaseModel):
    """One thing that happened, and why."""

    at: str
    what: str
    why: str


class RolloutView(BaseModel):
    """A rollout.

    `state`: queued, verifying, deploying, canary, finalizing, succeeded, rolled_back, failed, aborted.
    """

    model_config = ConfigDict(protected_namespaces=())
    id: str
    model: str
    version: str
    from_version: str | None
    state: str
    weight: float
    created_at: str
    finished_at: str | None
    reason: str | None
    policy: dict[str, Any]
    steps: list[StepView]
    events: list[EventView]


class RolloutList(BaseModel):
    """All rollouts, newest first."""

    rollouts: list[RolloutView]

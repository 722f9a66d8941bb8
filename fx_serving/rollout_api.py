"""The rollout part of the HTTP interface as models: shared by the controller and by the workers that forward
to it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fx_serving.client.bundle import NAME_PATTERN, valid_name

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=128)]
ModelFilter = Annotated[Name | None, Query(description="only this model's")]
StateFilter = Literal[
    "queued", "verifying", "deploying", "testing", "canary", "baking", "finalizing",
    "succeeded", "rolled_back", "failed", "aborted", "superseded", "concluded",
]  # fmt: skip
Reason = Annotated[str, Field(max_length=500, description="why: it is kept in the audit trail")]


def _checked(value: str) -> str:
    if not valid_name(value):
        raise ValueError(f"{value!r} is not a valid name: letters, digits, '.', '_', '-', and no '..'")
    return value


class RolloutBody(BaseModel):
    """Which version to roll out. `policy` overrides single values of serving.yaml's rollout section.

    `kind` canary goes up step by step and ends with the version deployed; ab keeps a fixed split and ends with a
    verdict. `dry_run`: verified, tested and scored unseen, without traffic.
    """

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        ser_json_inf_nan="constants",  # handed on as null, a limit that is NaN would turn its gate off
        json_schema_extra={
            "examples": [{"model": "move_60m", "version": "3", "policy": {"steps": [10, 50, 100], "window_s": 30}}]
        },
    )
    model: Name
    version: Name
    policy: dict[str, Any] | None = None
    request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None = Field(
        default=None, description="the same id again gives the same rollout"
    )
    kind: Literal["canary", "ab"] = "canary"
    dry_run: bool = False
    reason: Reason | None = None

    _names = field_validator("model", "version")(_checked)

    @field_validator("policy")
    @classmethod
    def _is_json(cls, policy: dict[str, Any] | None) -> dict[str, Any] | None:
        # Python's parser takes these, too. Handed on, NaN would become null, by which a gate is turned off.
        for name, value in (policy or {}).items():
            try:
                json.dumps({name: value}, allow_nan=False, ensure_ascii=False).encode()
            except (ValueError, RecursionError):
                shown, why = name.encode("utf-8", "replace").decode(), "which JSON cannot; give a number"
                raise ValueError(f"policy.{shown}: holds NaN, an infinity or half a character, {why}") from None
        return policy

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.dry_run and self.kind == "ab":
            raise ValueError("dry_run: an experiment needs traffic; ask for kind canary, or leave dry_run out")
        return self


class ReasonBody(BaseModel):
    """Why an operator acts."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason | None = None


AbortBody = ReasonBody


class TrafficBody(BaseModel):
    """The shares of both slots in per cent; together 100."""

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        json_schema_extra={"examples": [{"model": "move_60m", "blue": 80, "green": 20, "reason": "slower than usual"}]},
    )
    model: Name
    blue: float = Field(ge=0, le=100, allow_inf_nan=False)
    green: float = Field(ge=0, le=100, allow_inf_nan=False)
    reason: Reason | None = None

    _name = field_validator("model")(_checked)

    @model_validator(mode="after")
    def _all_of_it(self) -> Self:
        if abs(self.blue + self.green - 100) > 1e-9:
            raise ValueError(
                f"blue, green: {self.blue:g} and {self.green:g} are not 100 together; give two shares of 100"
            )
        return self


class GateView(BaseModel):
    """What one gate says: verdict pass, fail, inconclusive or off, with its figures."""

    gate: str
    verdict: str
    value: float | None
    limit: float | None
    n: int
    needed: int
    statistic: float | None
    why: str


class StepView(BaseModel):
    """One step's evidence."""

    weight: float
    instruments: list[str] | None
    window_s: float
    min_requests: int
    started_at: str
    ends_not_before: str | None
    ended_at: str | None
    requests: int
    errors: int
    error_rate: float | None
    p99_ms: float | None
    gates: list[GateView]
    outcome: str | None


class EventView(BaseModel):
    """One thing that happened, why, who did it, and the figures behind it."""

    at: str
    what: str
    why: str
    actor: str
    detail: dict[str, Any]


class SuiteView(BaseModel):
    """The smoke test of the candidate."""

    passed: int
    total: int
    failures: list[str]


class RolloutView(BaseModel):
    """A rollout.

    `state`: queued, verifying, deploying, testing, canary, baking, finalizing; finished: succeeded, rolled_back,
    failed, aborted, superseded, concluded. `awaiting`: approval, evidence, or null.
    """

    model_config = ConfigDict(protected_namespaces=())
    id: str
    model: str
    version: str
    from_version: str | None
    kind: str
    dry_run: bool
    actor: str
    state: str
    weight: float
    instruments: list[str] | None
    salt: str
    shadow: bool
    created_at: str
    finished_at: str | None
    reason: str | None
    policy: dict[str, Any]
    steps: list[StepView]
    events: list[EventView]
    suite: SuiteView | None
    gates: list[GateView]
    verdict: dict[str, Any] | None
    paused: bool
    awaiting: str | None
    superseded_by: str | None


class RolloutList(BaseModel):
    """Rollouts, newest first."""

    rollouts: list[RolloutView]


class RestoreView(BaseModel):
    """The version that answers again, and the one it replaced."""

    model_config = ConfigDict(protected_namespaces=())
    model: str
    version: str
    replaced: str
    rollout_id: str


class AuditRecordView(BaseModel):
    """One record of the audit trail; `hash` covers it and `previous`, the hash of the record before."""

    seq: int
    at: str
    actor: str
    model: str
    rollout_id: str
    what: str
    why: str
    state: str
    weight: float
    detail: dict[str, Any]
    previous: str
    hash: str


class AuditList(BaseModel):
    """Records of the audit trail."""

    records: list[AuditRecordView]


class AuditCheck(BaseModel):
    """Whether the audit trail is whole; else `seq` of the first record that is not, and why."""

    whole: bool
    records: int
    hash: str
    head_checked: bool
    seq: int | None
    why: str | None


class SlotSample(BaseModel):
    """One second of one slot."""

    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    weight: float


class Sample(BaseModel):
    """One second of a model: slot (blue, green) -> what it did."""

    t: str
    slots: dict[str, SlotSample]


class Series(BaseModel):
    """The last minutes of a model, oldest first."""

    model_config = ConfigDict(protected_namespaces=())
    model: str
    samples: list[Sample]

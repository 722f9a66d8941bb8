"""models.yaml and gates.yaml: what is trained, on what, and what it must show before it may serve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, RootModel, field_validator, model_validator

from fx_assets.configuration.base import Strict, Symbol, with_defaults

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]


class Label(Strict):
    kind: Literal["direction", "large_move"]
    horizon_minutes: int = Field(gt=0, le=7 * 1440)

    @property
    def column(self) -> str:
        """Name of the label's column in gold/labels."""
        return f"{self.kind}_{self.horizon_minutes}m"


class Candidate(Strict):
    name: str
    algorithm: Literal["xgboost"] = "xgboost"
    rounds: int = Field(gt=0, le=5000)
    params: dict[str, float | int | str] = Field(default_factory=dict)


class Training(Strict):
    sessions: int = Field(default=400, ge=20)
    min_rows: int = Field(default=4000, ge=100)


class Validation(Strict):
    folds: int = Field(default=6, ge=2, le=20)
    embargo_minutes: int = Field(default=60, ge=0)


def _all(value: Any) -> Any:
    return () if value == "all" else value


class Features(Strict):
    """What a model sees. groups: feature views; empty for all. exclude: features that are left out all the same.

    candle_columns: the optional columns of a candle that its sources must fill; features that need others are left out.
    """

    groups: Annotated[tuple[str, ...], BeforeValidator(_all)] = ()
    exclude: tuple[str, ...] = ()
    candle_columns: tuple[Literal["volume", "bid_close", "ask_close"], ...] = ("volume",)


class Model(Strict):
    description: str = ""
    label: Label
    instruments: Annotated[tuple[Symbol, ...], BeforeValidator(_all)] = ()
    features: Features = Features()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    training: Training = Training()
    validation: Validation = Validation()
    gates: str
    deploy: bool = False
    rollout: dict[str, Any] = Field(default_factory=dict)
    seed: int = 7

    @field_validator("candidates")
    @classmethod
    def named_once(cls, value: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        names = [candidate.name for candidate in value]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two candidates are called {', '.join(repeated)}. Give each its own name")
        return value


class ModelsFile(Strict):
    defaults: dict[str, Any] = Field(default_factory=dict)
    models: dict[ModelName, Model] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def spread_defaults(cls, raw: Any) -> Any:
        return with_defaults(raw, "models")


class Gate(Strict):
    gate: str
    figure: str
    op: Literal[">", ">=", "<", "<="]
    threshold: float
    why: str = ""


class GatesFile(RootModel[dict[str, tuple[Gate, ...]]]):
    pass

"""models.yaml and gates.yaml: what is trained, on what, and what it must show before it may serve."""

from __future__ import annotations

from collections.abc import Iterable
from math import comb
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, RootModel, field_validator, model_validator

from fx_assets.configuration.base import Strict, Symbol, with_defaults
from fx_assets.configuration.candidates import Candidate, Search
from fx_assets.configuration.labels import Label
from fx_serving.client.policy_keys import POLICY_KEYS

MAX_CHOICES = 120

MODEL_NAME = r"^[a-z][a-z0-9_]{1,40}$"
ModelName = Annotated[str, Field(pattern=MODEL_NAME)]
Swap = Annotated[float, Field(gt=-0.01, lt=0.01)]


class Training(Strict):
    """half_life_days: age at which a row counts half; none: all ages count alike."""

    sessions: int = Field(default=400, ge=20)
    min_rows: int = Field(default=4000, ge=100)
    half_life_days: float | None = Field(default=None, gt=0)


class Validation(Strict):
    """How rows are cut into folds. Gates read walk_forward figures: the others train on rows after the test block.

    folds: test blocks; of combinatorial the groups, of which every choice of `held_out` is tested together.
    seeds: how often the study of the chosen candidate is repeated with another seed, to show the spread.
    """

    method: Literal["walk_forward", "kfold", "combinatorial"] = "walk_forward"
    folds: int = Field(default=6, ge=2, le=20)
    embargo_minutes: int = Field(default=60, ge=0)
    held_out: int = Field(default=2, ge=1, le=10)
    seeds: int = Field(default=1, ge=1, le=20)

    @model_validator(mode="after")
    def affordable(self) -> Validation:
        if self.method != "combinatorial":
            if "held_out" in self.model_fields_set:
                raise ValueError(f"method {self.method} has no held_out. Remove it, or use method combinatorial")
            return self
        if self.held_out >= self.folds:
            raise ValueError(f"held_out {self.held_out} leaves none of {self.folds} folds to train on. Lower it")
        if (choices := comb(self.folds, self.held_out)) > MAX_CHOICES:
            raise ValueError(
                f"{self.held_out} of {self.folds} folds can be chosen in {choices} ways, more than {MAX_CHOICES}. "
                "Lower folds or held_out"
            )
        return self


class Strategy(Strict):
    """How a forecast is traded in the backtest, and what the strategy assets try.

    threshold: probability that a side needs before it is traded. latency_bars: bars between decision and trade.
    swap_per_day: cost of holding a position overnight as a share of its value, one for all or by instrument; below 0:
    an income. thresholds, sizing: what threshold_sweep and strategy_optimization try.
    """

    threshold: float = Field(default=0.5, ge=0.5, lt=1)
    latency_bars: int = Field(default=1, ge=0, le=24)
    swap_per_day: Swap | dict[Symbol, Swap] = 0.0
    thresholds: tuple[Annotated[float, Field(ge=0.5, lt=1)], ...] = Field(
        default=(0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.65, 0.7), min_length=1
    )
    sizing: tuple[Literal["unit", "confidence", "volatility"], ...] = Field(
        default=("unit", "confidence", "volatility"), min_length=1
    )

    @field_validator("thresholds", "sizing")
    @classmethod
    def once_each(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a value stands twice. Remove one; each counts as a trial")
        return tuple(sorted(value)) if isinstance(value[0], float) else value

    def swaps(self, instruments: Iterable[str]) -> dict[str, float]:
        """Swap of each instrument, per night held and as a share of the position's value; 0 where none is given."""
        given = self.swap_per_day
        return {symbol: given.get(symbol, 0.0) if isinstance(given, dict) else given for symbol in instruments}


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
    """One entry. scope instrument: an entry for each instrument is made of it when the file is read.

    expires_days: days after which a version may no longer be champion without a warning; none: never.
    """

    description: str = ""
    label: Label
    instruments: Annotated[tuple[Symbol, ...], BeforeValidator(_all)] = ()
    features: Features = Features()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    training: Training = Training()
    validation: Validation = Validation()
    search: Search | None = None
    strategy: Strategy = Strategy()
    gates: str
    scope: Literal["pooled", "instrument"] = "pooled"
    expires_days: int | None = Field(default=None, ge=1, le=3650)
    deploy: bool = False
    rollout: dict[str, Any] = Field(default_factory=dict)
    seed: int = 7

    @field_validator("rollout")
    @classmethod
    def known_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        """The service checks the values when it is asked; a misspelt name is told before a model is trained."""
        if unknown := sorted(set(value) - POLICY_KEYS):
            raise ValueError(
                f"{', '.join(unknown)}: no such setting of a rollout. Use {', '.join(sorted(POLICY_KEYS))}"
            )
        return value

    @field_validator("candidates")
    @classmethod
    def named_once(cls, value: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        names = [candidate.name for candidate in value]
        if "searched" in names:
            raise ValueError("the name searched is kept for the result of models.<name>.search. Give it another")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two candidates are called {', '.join(repeated)}. Give each its own name")
        return value

    @model_validator(mode="after")
    def fit_to_serve(self) -> Model:
        if not self.label.is_probability:
            if self.deploy:
                raise ValueError(
                    f"deploy: true needs a label with a probability; kind {self.label.kind} has none. "
                    "Use deploy: false, or another kind of label"
                )
            if calibrated := [c.name for c in self.candidates if c.calibration != "none"]:
                raise ValueError(
                    f"calibration of {', '.join(calibrated)} needs a label with a probability; "
                    f"kind {self.label.kind} has none. Use calibration: none"
                )
        if self.deploy and self.validation.method != "walk_forward":
            raise ValueError(
                f"deploy: true needs validation.method walk_forward; {self.validation.method} also trains on rows that "
                "follow the tested ones. Use walk_forward, or deploy: false"
            )
        return self


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

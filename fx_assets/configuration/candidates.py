"""What models.yaml says of candidates: the algorithms, their parameters, and the search for better ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fx_assets.configuration.base import Strict

Algorithm = Literal["xgboost", "lightgbm", "catboost", "random_forest", "logistic"]
# What the platform sets itself, from the model's own keys; under the names the libraries know it by.
_OWN_PARAMS = {
    **dict.fromkeys(("seed", "random_state", "random_seed"), "models.<name>.seed"),
    **dict.fromkeys(("objective", "loss_function", "application"), "models.<name>.label.kind"),
    **dict.fromkeys(("nthread", "n_jobs", "num_threads", "thread_count"), ""),
    **dict.fromkeys(("num_boost_round", "n_estimators", "iterations", "num_iterations", "max_iter"), "rounds"),
}


def _refuse_own(keys: Iterable[str]) -> None:
    for key in keys:
        if key in _OWN_PARAMS:
            instead = f"; {_OWN_PARAMS[key]} is its place" if _OWN_PARAMS[key] else ""
            raise ValueError(f"{key} is set by the platform. Remove it{instead}")


class Candidate(Strict):
    """One way to fit a model. rounds: trees, or of logistic the most steps. seeds: members whose mean is taken.

    calibration: what maps the raw probabilities to calibrated ones; it is fitted inside the fold.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")
    algorithm: Algorithm = "xgboost"
    rounds: int = Field(default=100, gt=0, le=5000)
    params: dict[str, float | int | str] = Field(default_factory=dict)
    calibration: Literal["none", "platt", "isotonic"] = "none"
    seeds: int = Field(default=1, ge=1, le=20)

    @field_validator("params")
    @classmethod
    def not_the_platforms(cls, value: dict[str, float | int | str]) -> dict[str, float | int | str]:
        _refuse_own(value)
        return value


class Range(Strict):
    """Values a search may choose between. log: as likely in each power of ten. whole: whole numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def ordered(self) -> Range:
        if self.high <= self.low:
            raise ValueError(f"high {self.high:g} is not above low {self.low:g}. Swap or change them")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, not {self.low:g}. Raise it, or remove log")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("whole needs a whole low and high. Round them, or remove whole")
        return self


class Choices(Strict):
    """Values of which a search takes one."""

    choices: tuple[int | float | str, ...] = Field(min_length=2)


def _one_kind(value: Any) -> str:
    """Which of the two an entry of a search's space is, so that a mistake is told of that one alone."""
    return "choices" if isinstance(value, Choices) or (isinstance(value, dict) and "choices" in value) else "range"


class Search(Strict):
    """Hyperparameter search: seeded, pruned over the folds; every trial counts against the result.

    space: a range or choices for each parameter that is searched. rows: untested searches on the rows before the first
    test block only, so that the study's figures stay honest; all uses every row.
    """

    algorithm: Algorithm = "xgboost"
    trials: int = Field(default=20, ge=1, le=500)
    rounds: int = Field(default=100, gt=0, le=5000)
    space: dict[
        str, Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_one_kind)]
    ] = Field(min_length=1)
    rows: Literal["untested", "all"] = "untested"

    @field_validator("space")
    @classmethod
    def not_the_platforms(cls, value: dict[str, Range | Choices]) -> dict[str, Range | Choices]:
        _refuse_own(value)
        return value

"""What a study is asked to do, as one value that can be stored: the same spec and rows give the same figures.

Plain settings only (JSON by msgspec): no frames, no models. Where they come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd

from fx_assets.evaluation.costs import from_json, to_json

LABEL_KINDS = ("direction", "large_move", "return", "triple_barrier", "meta")


class Folding(msgspec.Struct, frozen=True):
    """How rows are cut into training and test sets; the attributes are those of a model's `validation`.

    folds: of the method combinatorial the groups, of which `held_out` are tested together. seeds: how often the chosen
    candidate is studied, each time with another random seed, to state how much of a figure is luck.
    """

    method: Literal["walk_forward", "kfold", "combinatorial"] = "walk_forward"
    folds: int = 6
    embargo_minutes: int = 60
    held_out: int = 2
    seeds: int = 1


class Cost(msgspec.Struct, frozen=True):
    """Half the spread over the price that an instrument cost in one hour of the New York day (0..23)."""

    instrument: str
    hour: int
    half_spread: float
    rows: int
    source: str


class Ledger(msgspec.Struct, frozen=True):
    """Trials made on this model beside the study's own candidates.

    count: all of them; sharpes: net Sharpe ratios per day (not annualised) of those that were traded;
    sources: trials by origin (candidates, search, strategy), which add up to count.
    """

    count: int = 0
    sharpes: tuple[float, ...] = ()
    sources: dict[str, int] = {}


class StudySpec(msgspec.Struct, frozen=True):
    """A study's settings.

    feature_names: the columns the model sees, in order. candidates: {name, algorithm, rounds, params,
    calibration, seeds}. typical: half the typical spread over the price, by instrument; costs: recorded ones, which
    go before it. latency_bars: bars between a decision and its execution. swap_per_day: share of the position's
    value that a night costs, by instrument. threshold: the probability above which a position is taken.
    label: the label's column, which tells horizon and barriers too; only the ledger of trials reads it.
    """

    feature_names: tuple[str, ...]
    candidates: tuple[dict[str, Any], ...]
    label_kind: str
    typical: dict[str, float]
    validation: Folding = Folding()
    target: Literal["binary", "real"] = "binary"
    costs: tuple[Cost, ...] = ()
    latency_bars: int = 1
    swap_per_day: dict[str, float] = {}
    threshold: float = 0.5
    seed: int = 7
    nthread: int = 2
    ledger: Ledger = Ledger()
    label: str = ""

    @property
    def embargo(self) -> np.timedelta64:
        """Least distance between the end of a training label and a tested decision."""
        return np.timedelta64(self.validation.embargo_minutes, "m")

    def costs_table(self) -> pd.DataFrame:
        """The recorded costs as a frame (instrument, hour, half_spread, rows, source); empty where there are none."""
        return from_json([msgspec.to_builtins(cost) for cost in self.costs])

    @staticmethod
    def for_model(
        entry: Any,
        feature_names: Sequence[str],
        typical: Mapping[str, float],
        costs: pd.DataFrame | None = None,
        ledger: Ledger | None = None,
        extra_candidates: Sequence[Mapping[str, Any]] = (),
        nthread: int = 2,
        **fields: Any,
    ) -> StudySpec:
        """The spec of an entry of models.yaml; `fields` replace what it says.

        costs: as `costs.table` gives them. extra_candidates: studied beside the entry's own, a found set of
        parameters for example.
        """
        candidates = [plain_candidate(candidate.model_dump()) for candidate in entry.candidates]
        known = {candidate["name"] for candidate in candidates}
        candidates += [plain_candidate(extra) for extra in extra_candidates if extra["name"] not in known]
        said = {
            "feature_names": tuple(feature_names),
            "candidates": tuple(candidates),
            "label_kind": entry.label.kind,
            "typical": dict(typical),
            "validation": _folding(entry.validation),
            "target": entry.label.target,
            "costs": () if costs is None else tuple(Cost(**row) for row in to_json(costs)),
            "latency_bars": entry.strategy.latency_bars,
            "swap_per_day": entry.strategy.swaps(sorted(typical)),
            "threshold": entry.strategy.threshold,
            "seed": entry.seed,
            "nthread": nthread,
            "ledger": ledger or Ledger(),
            "label": entry.label.column,
        }
        return StudySpec(**(said | fields))


def plain_candidate(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate with every key stated, as plain builtins in one order: equal candidates are equal bytes."""
    return {
        "name": candidate["name"],
        "algorithm": candidate.get("algorithm", "xgboost"),
        "rounds": int(candidate.get("rounds", 1)),
        "params": dict(sorted(candidate.get("params", {}).items())),
        "calibration": candidate.get("calibration", "none"),
        "seeds": int(candidate.get("seeds", 1)),
    }


def _folding(validation: Any) -> Folding:
    return Folding(**{name: getattr(validation, name) for name in Folding.__struct_fields__})

"""Real evidence for cards and gates: a small study, a version fitted as the platform fits it, and a champion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pandas as pd

from fx_assets.configuration import Label
from fx_assets.evaluation.study import Study, evaluate
from fx_assets.evaluation.training import fit_predictor
from fx_assets.models.card import CardContent
from fx_assets.models.champion import Champion
from fx_assets.models.evidence import Judged, gather
from fx_assets.models.registry import VersionRecord
from fx_assets.models.spec_file import Spec
from tests.fx_assets.evaluation.worlds import NAMES, spec, world

SESSION, BEFORE = "2021-04-20", "2021-03-31"
LABEL = Label(kind="large_move", horizon_minutes=60)
TAGS = {"session": SESSION, "training_set_hash": "ab" * 32, "dagster_run_id": "1234", "gates": "undecided"}
APPROVED = {
    "approved": True,
    "missed": [],
    "champion": None,
    "gates": [
        {
            "name": "sure",
            "value": 0.61,
            "threshold": 0.55,
            "op": ">",
            "passed": True,
            "reason": "0.61 meets > 0.55: luck",
        }
    ],
}


@cache
def rows(strength: float = 0.5) -> pd.DataFrame:
    frame = world(strength)
    return frame.sort_values(["decision_time", "instrument"], ignore_index=True).assign(weight=1.0)


@cache
def study(kind: str = "large_move", strength: float = 0.5) -> Study:
    return evaluate(rows(strength), spec(kind))


def version(number: str, session: str, study: Study, fitted_on: pd.DataFrame, **chosen: Any) -> Champion:
    """A version as the registry gives it, fitted with the chosen candidate of a study, or what replaces parts of it."""
    kind = study.figures["label_kind"]
    settings = spec(kind, target="real" if kind == "return" else "binary")
    candidate = study.chosen | chosen
    made = Spec(
        model="move",
        session=session,
        label=LABEL.model_dump(mode="json"),
        instruments=["A", "B"],
        features=[(name, "market") for name in NAMES],
        chosen=candidate,
        study=settings,
        gates="statistical",
        expires_days=None,
        config_hash="c" * 64,
        code_version="1",
        python="",
        packages={},
    )
    record = VersionRecord("move", number, TAGS, (), "run", datetime(2021, 4, 20, tzinfo=UTC), "")
    return Champion(record, fit_predictor(fitted_on, candidate, settings), made, study.figures)


@cache
def judged(compared: bool = True) -> Judged:
    """Evidence of version 2, with version 1 as its champion or with none."""
    found, data = study(), rows()
    early = data[data["label_end"] <= pd.Timestamp("2021-03-31T21:00Z")]
    holder = version("1", BEFORE, found, early) if compared else None
    out = found.predictions
    inputs = out[["instrument", "decision_time"]].merge(data, on=["instrument", "decision_time"])
    challenger = version("2", SESSION, found, data)
    return gather(challenger, holder, found.figures, out, data, inputs if compared else None, 0)


def content(verdict: Mapping[str, Any] = APPROVED, compared: bool = True, **other: Any) -> CardContent:
    """All that the card of version 2 says; `other` replaces parts of it."""
    found, evidence = study(), judged(compared)
    said: dict[str, Any] = {
        "model": "move",
        "version": "2",
        "session": SESSION,
        "description": "Will the next hour move more than is usual?",
        "label": LABEL,
        "instruments": ("A", "B"),
        "features": len(NAMES),
        "rows": len(rows()),
        "first_decision": str(rows()["decision_time"].min()),
        "last_label_end": str(rows()["label_end"].max()),
        "chosen": found.chosen,
        "profile": "statistical",
        "evidence": evidence.evidence,
        "verdict": verdict,
        "predictions": found.predictions,
        "daily": found.daily,
        "gain": evidence.gain,
        "shap": evidence.shap,
        "ranked_by": evidence.ranked_by,
        "contributions": evidence.contributions,
        "lineage": TAGS,
    }
    return CardContent(**(said | other))

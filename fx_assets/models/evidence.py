"""What a version is judged by: the figures of its study, the comparison with the champion, its speed, its inputs.

Everything is read from the stores and from the version as it is registered; the verdict over it is decision.py's, and
nothing here knows a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation.importance import contribution_shares, named, permutation_shares
from fx_assets.models import champion, comparison, latency
from fx_assets.models.card import CardContent, Contributions
from fx_assets.sessions import session_bounds

# Rows whose contributions are drawn; more points cannot be told apart.
SAMPLED_ROWS = 2000


@dataclass(frozen=True)
class Judged:
    """The version and what was found about it. evidence is plain (JSON); the rest is for the card."""

    evidence: dict[str, Any]
    gain: dict[str, float]
    shap: dict[str, float]
    ranked_by: str
    contributions: Contributions | None


def gather(
    challenger: champion.Champion,
    holder: champion.Champion | None,
    figures: Mapping[str, Any],
    out_of_fold: pd.DataFrame,
    rows: pd.DataFrame,
    champion_rows: pd.DataFrame | None,
    seed: int,
) -> Judged:
    """All evidence about a registered version.

    challenger, holder: the version and the champion (None: there is none), as champion.load_version reads them.
    figures: of the challenger's study. out_of_fold: its predictions. rows: its training set. champion_rows: the rows
    of `out_of_fold`, in order, with the champion's inputs; None exactly where there is no champion.
    """
    names = challenger.features
    predictor = challenger.predictor
    picks = np.linspace(0, len(rows) - 1, min(SAMPLED_ROWS, len(rows))).astype(int)
    sample = rows[names].iloc[picks].to_numpy(np.float32)
    gain = named(predictor.importance(), names)
    shap, ranked_by, drawn = _explain(predictor, sample, names, rows.iloc[picks], seed)
    weighed = _weighed(out_of_fold, rows)
    naive = comparison.versus_naive(weighed, list(figures["baselines"]), seed)
    against = None if holder is None else _against(holder, figures, gain, weighed, champion_rows, seed)
    evidence = {**figures, "naive": naive, "champion": against, "latency": _latency(challenger, sample)}
    return Judged(evidence, gain, shap, ranked_by, drawn)


def card_content(
    configuration: Configuration,
    challenger: champion.Champion,
    record: Mapping[str, Any],
    judged: Judged,
    verdict: Mapping[str, Any],
    out_of_fold: pd.DataFrame,
    daily: pd.DataFrame | None,
) -> CardContent:
    """The card of a judged version. record: of trained_model; verdict: of decision.decide."""
    model = record["model"]
    entry = configuration.models.models[model]
    tags = challenger.record.tags
    return CardContent(
        model=model,
        version=record["version"],
        session=record["session"],
        description=entry.description,
        label=entry.label,
        instruments=configuration.model_instruments(model),
        features=len(challenger.features),
        rows=record["rows"],
        first_decision=record["first_decision"],
        last_label_end=record["last_label_end"],
        chosen=record["chosen"],
        profile=entry.gates,
        evidence=judged.evidence,
        verdict=verdict,
        predictions=out_of_fold,
        daily=daily,
        gain=judged.gain,
        shap=judged.shap,
        ranked_by=judged.ranked_by,
        contributions=judged.contributions,
        # Of the version, and not of this run: what it was made of, and until when it may serve.
        lineage={key: value for key, value in tags.items() if not key.startswith(("gates", "mlflow."))},
    )


def _explain(
    predictor: Any, sample: np.ndarray, names: Sequence[str], rows: pd.DataFrame, seed: int
) -> tuple[dict[str, float], str, Contributions | None]:
    values = predictor.contributions(sample)
    if values is not None:
        return contribution_shares(values, names), "contributions", Contributions(values, sample, names)
    # A continuous label is asked as its sign, as everywhere where probabilities are judged.
    outcome = (rows["label"].to_numpy(float) > (0.5 if predictor.target == "binary" else 0.0)).astype(float)
    return permutation_shares(predictor.probability, sample, outcome, None, names, seed), "permutation", None


def _weighed(out_of_fold: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows out of fold with the weights that they were trained with, so that figures and comparisons agree."""
    if "weight" not in rows:
        return out_of_fold
    key = ["instrument", "decision_time"]
    return out_of_fold.merge(rows[[*key, "weight"]], on=key, how="left", validate="one_to_one")


def _against(
    holder: champion.Champion,
    figures: Mapping[str, Any],
    gain: Mapping[str, float],
    out_of_fold: pd.DataFrame,
    inputs: pd.DataFrame | None,
    seed: int,
) -> dict[str, Any]:
    if inputs is None or len(inputs) != len(out_of_fold):
        raise ValueError("the champion's inputs must be there for every row out of fold. Pass them in the same order.")
    answers = holder.predictor.probability(inputs[holder.features].to_numpy(np.float32))
    since = pd.Timestamp(session_bounds(holder.session)[0])
    return {
        "version": holder.version,
        "session": holder.session,
        "same_rows": comparison.same_rows(out_of_fold, answers, since, seed),
        "regression": comparison.registered_figures(figures, holder.figures),
        "importance": comparison.compare_importance(gain, named(holder.predictor.importance(), holder.features)),
    }


def _latency(challenger: champion.Champion, sample: np.ndarray) -> dict[str, Any]:
    """Of the exported graph; a model of a real target is not exported, and is timed as it is."""
    predictor = challenger.predictor
    if predictor.target == "real":
        return {**latency.of_calls(predictor.predict, sample), "engine": predictor.algorithm}
    from fx_assets.models.onnx_graph import to_onnx

    return latency.of_onnx(to_onnx(predictor, len(challenger.features)), sample)

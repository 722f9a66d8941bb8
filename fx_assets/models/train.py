"""Training one model for one session, and logging it: study over candidates, final fit, registered version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from fx_assets.configuration import Configuration, Model
from fx_assets.evaluation.study import Study, evaluate, random_label_auc
from fx_assets.evaluation.training import fit_final
from fx_assets.lake import Lake
from fx_assets.models.registry import CHALLENGER
from fx_assets.schemas import content_hash
from fx_assets.sessions import session_bounds

PIP_REQUIREMENTS = ["xgboost>=3.1,<3.3", "numpy", "pandas"]
THREADS = 2


def half_spreads(configuration: Configuration, rows: pd.DataFrame, lake: Lake, session: str) -> dict[str, float]:
    """Half the typical spread relative to the median price of the training set's period, by instrument.

    It is the cost of one change of position by one.
    """
    spreads = {symbol: i.typical_spread for symbol, i in configuration.instruments.instruments.items()}
    # Not the session itself: it may or may not be there yet, and nothing of it may matter.
    first, start = rows["time"].min(), session_bounds(session)[0]
    closes = lake.table("silver/candles", first, start, columns=["instrument", "close"])
    medians = closes.groupby("instrument")["close"].median()
    return {symbol: spreads[symbol] / float(medians[symbol]) / 2 for symbol in rows["instrument"].unique()}


def study(
    rows: pd.DataFrame,
    features: Sequence[str],
    entry: Model,
    spreads: Mapping[str, float],
    progress: Callable[[str], None] | None = None,
) -> Study:
    """Every candidate through the same purged walk-forward folds; adds the leak canary's figures.

    features: the columns of `rows` that the model sees, in order.
    """
    names = list(features)
    candidates = [candidate.model_dump() for candidate in entry.candidates]
    embargo = pd.Timedelta(minutes=entry.validation.embargo_minutes)
    folds, kind = entry.validation.folds, entry.label.kind
    found = evaluate(rows, names, candidates, folds, embargo, kind, spreads, THREADS, entry.seed, progress)
    canary = random_label_auc(rows, names, found.chosen, folds, embargo, THREADS, entry.seed)
    found.figures["random_label_auc"] = canary
    return found


def fit_and_log(
    tracker: Any,
    name: str,
    entry: Model,
    session: str,
    rows: pd.DataFrame,
    features: Sequence[str],
    found: Study,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Fit the chosen candidate on all rows, log it to a nested MLflow run, register it as challenger.

    Returns the record that later steps start from: model, session, mlflow_run_id, version, chosen, hashes, rows.
    """
    import mlflow
    import mlflow.models
    import mlflow.tracking
    from mlflow.xgboost import log_model

    names = list(features)
    booster = fit_final(rows, names, found.chosen, entry.seed, THREADS)
    raw = bytes(booster.save_raw("ubj"))
    record = {
        "model": name,
        "session": session,
        "chosen": found.chosen,
        "rows": len(rows),
        "first_decision": rows["decision_time"].min().isoformat(),
        "last_label_end": rows["label_end"].max().isoformat(),
        "training_set_hash": content_hash(rows),
        "booster_sha256": hashlib.sha256(raw).hexdigest(),
    }
    with tracker.start_run(run_name=f"{name} {session}", nested=True) as run, TemporaryDirectory() as folder:
        mlflow.log_params(
            {"candidate": found.chosen["name"], "rounds": found.chosen["rounds"], **found.chosen["params"]}
        )
        mlflow.log_params({"session": session, "rows": len(rows), "features": len(names), "seed": entry.seed})
        mlflow.log_metrics(dict(flat_numbers(found.figures)))
        mlflow.log_dict(found.figures, "evaluation/figures.json")
        path = Path(folder) / "out_of_fold.parquet"
        found.predictions.to_parquet(path, index=False)
        mlflow.log_artifact(str(path), "evaluation")
        example = rows[names].head(3)
        logged = log_model(
            booster,
            name="model",
            registered_model_name=name,
            pip_requirements=PIP_REQUIREMENTS,
            signature=mlflow.models.infer_signature(example, booster.inplace_predict(example.to_numpy("float32"))),
        )
        version = str(logged.registered_model_version)
        client = mlflow.tracking.MlflowClient()
        for key, value in {
            **tags,
            **{k: record[k] for k in ("session", "training_set_hash", "booster_sha256")},
        }.items():
            client.set_model_version_tag(name, version, key, str(value))
        client.set_registered_model_alias(name, CHALLENGER, version)
        return {**record, "version": version, "mlflow_run_id": run.info.run_id}


def flat_numbers(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Every number of nested figures under a dotted name, as MLflow wants metrics; lists are left to the artifact."""
    found: list[tuple[str, float]] = []
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += flat_numbers(value, f"{name}.")
        elif isinstance(value, int | float) and value == value:
            found.append((name, float(value)))
    return found

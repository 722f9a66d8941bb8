"""A registry with real versions in it, without a platform around: rows made up, everything else as in a training."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation.spec import StudySpec
from fx_assets.models import registry, train
from fx_assets.models.training_set import Origin
from fx_assets.resources.tracking import EXPERIMENT, prepare
from fx_assets.schemas import content_hash, model_features
from fx_assets.sessions import session_bounds
from tests.fx_assets.small import MODELS, changed

MODEL, SESSION = "move", "2021-03-15"
SMALL_MODELS: dict[str, Any] = changed(MODELS, models__move__features={"groups": ["lags"]})


def rows_for(configuration: Configuration, rows: int = 900, seed: int = 1, session: str = SESSION) -> pd.DataFrame:
    """A training set of the model's features, its label a noisy function of two of them; ends as the session begins."""
    rng = np.random.default_rng(seed)
    names = [name for name, _ in model_features(configuration, MODEL)]
    x = rng.standard_normal((rows, len(names)))
    end = pd.Timestamp(session_bounds(session)[0])
    time = pd.date_range(end=end - pd.Timedelta(hours=2), periods=rows, freq="1h", unit="us")
    known = time + pd.Timedelta(hours=1)
    score = x[:, 0] + x[:, 1] + 0.8 * rng.standard_normal(rows)
    frame = pd.DataFrame(
        {
            "instrument": "GBP_USD",
            "time": time,
            "decision_time": known,
            "label": (score > 0).astype(float),
            "label_end": known + pd.Timedelta(hours=1),
            "forward_return": 0.001 * rng.standard_normal(rows),
            "persistence": rng.uniform(0.5, 2.0, rows),
        }
    )
    return pd.concat([frame, pd.DataFrame(x, columns=names)], axis=1).assign(weight=rng.uniform(0.2, 1.0, rows))


def spec_for(configuration: Configuration, **fields: Any) -> StudySpec:
    """What a study of these rows is asked to do."""
    entry = configuration.models.models[MODEL]
    names = [name for name, _ in model_features(configuration, MODEL)]
    return StudySpec.for_model(entry, names, {"GBP_USD": 0.00004}, nthread=1, **fields)


def register(
    home: Path,
    configuration: Configuration,
    rows: pd.DataFrame,
    spec: StudySpec,
    *,
    session: str = SESSION,
    gates: str | None = "approved",
    studied: dict[str, Any] | None = None,
    predictions: pd.DataFrame | None = None,
) -> str:
    """Fit and register a version, and decide upon it; returns its number.

    studied: the record of a study of these rows; by default the first candidate is taken without a study.
    """
    import mlflow

    prepare(home)
    mlflow.set_experiment(EXPERIMENT)
    found = studied or {"chosen": spec.candidates[0], "figures": {}, "spec": msgspec.to_builtins(spec)}
    origin = Origin(content_hash(rows), "move_v1", "2", {"gold/features": {"2021-03-12": "a"}, "gold/labels": {}})
    out = predictions if predictions is not None else rows[["instrument", "decision_time", "label"]].head(5)
    record = train.fit_and_log(mlflow, configuration, MODEL, session, rows, found, out, origin, "a-run")
    if gates:
        registry.set_version_tags(registry.open_registry(home), MODEL, record["version"], {"gates": gates})
    return record["version"]


def study_record(rows: pd.DataFrame, spec: StudySpec) -> tuple[dict[str, Any], pd.DataFrame]:
    """A real study: its record as the lake keeps it, and its predictions."""
    found = train.study(rows, spec)
    record = {"chosen": found.chosen, "figures": found.figures, "spec": msgspec.to_builtins(spec)}
    return msgspec.json.decode(msgspec.json.encode(record)), found.predictions

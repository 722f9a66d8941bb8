"""CatBoost on plain boosting; saved in its own format without what differs from run to run (time, identity, paths).

Its JSON would be easier to read, but rounds the leaves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from fx_assets.evaluation.estimators.base import refuse_reserved, shares, sigmoid

BORDERS = 64
_DECIDED = frozenset({"loss_function", "random_seed", "thread_count", "iterations", "task_type", "allow_writing_files"})
# Of the metadata: the rest states times, paths and threads.
_NEEDED = frozenset({"class_params"})


class Stored(msgspec.Struct, frozen=True):
    """The file: the target, and the model in CatBoost's own format."""

    target: str
    model: bytes


@dataclass(frozen=True)
class FittedCatboost:
    """A `Fitted` model; see base.py."""

    model: Any
    target: str
    algorithm: str = "catboost"

    def predict(self, x: np.ndarray) -> np.ndarray:
        margin = np.asarray(self.model.predict(x, prediction_type="RawFormulaVal", thread_count=1), float)
        return sigmoid(margin) if self.target == "binary" else margin

    def save(self) -> bytes:
        with TemporaryDirectory(prefix="fx-catboost-") as folder:
            path = os.path.join(folder, "model.cbm")
            self.model.save_model(path, format="cbm")
            with open(path, "rb") as file:
                return msgspec.msgpack.encode(Stored(self.target, file.read()))

    def importance(self) -> dict[int, float]:
        gains = self.model.get_feature_importance(type="PredictionValuesChange")
        return shares({k: float(gain) for k, gain in enumerate(gains)})

    def contributions(self, x: np.ndarray) -> np.ndarray:
        pool = _catboost().Pool(x, thread_count=1)
        values = self.model.get_feature_importance(pool, type="ShapValues", thread_count=1)
        return np.asarray(values, float)[:, :-1]


def _catboost() -> Any:
    import catboost

    return catboost


def fit(candidate, x, y, w, seed, nthread, target, shared) -> FittedCatboost:
    """As `estimators.fit`."""
    catboost = _catboost()
    params = {
        "border_count": BORDERS,
        "boosting_type": "Plain",
        "bootstrap_type": "Bernoulli",
        **refuse_reserved(candidate, _DECIDED),
        "loss_function": "Logloss" if target == "binary" else "RMSE",
        "iterations": int(candidate["rounds"]),
        "random_seed": seed,
        "thread_count": nthread,
        "allow_writing_files": False,
        "verbose": False,
    }
    kept = {} if shared is None else shared
    key = ("catboost", y.tobytes())
    if key not in kept:
        kept[key] = catboost.Pool(x, label=y, weight=w, thread_count=nthread)
    model = catboost.CatBoost(params)
    try:
        model.fit(kept[key])
    except (catboost.CatBoostError, TypeError) as error:
        raise ValueError(f"candidate {candidate.get('name')!r}: catboost: {error}") from None
    said = model.get_metadata()
    for key in sorted(set(said.keys()) - _NEEDED):
        del said[key]
    return FittedCatboost(model, target)


def load(algorithm: str, raw: bytes) -> FittedCatboost:
    """As `estimators.load`."""
    stored = msgspec.msgpack.decode(raw, type=Stored)
    model = _catboost().CatBoost()
    model.load_model(blob=stored.model)
    return FittedCatboost(model, stored.target)

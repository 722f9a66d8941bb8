"""XGBoost, and the random forest grown by it.

The forest is one round of `rounds` parallel trees on squared error with leaves that are plain means: for labels 0 and
1 that is the variance, hence the Gini, criterion, and the mean of the leaves is a probability. Rows are drawn without
replacement. Beside a forest of exact trees it is many times faster, for thresholds are taken from `max_bin` quantiles.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.evaluation.estimators.base import refuse_reserved, refuse_unknown, shares

MAX_BIN = 128
FOREST = {"max_depth": 8, "subsample": 0.63, "colsample_bynode": 0.2, "min_child_weight": 50.0}
# Leaves that are shrunk would not be means, and the forest's output no probability.
_FOREST_DECIDED = frozenset({"eta", "learning_rate", "lambda", "reg_lambda", "alpha", "reg_alpha", "max_delta_step"})
_UNUSED = re.compile(r"Parameters: \{ (.*) \} are not used")
_DECIDED = frozenset({"objective", "seed", "nthread", "base_score", "num_parallel_tree", "device", "tree_method"})


def xgboost_module() -> Any:
    """The xgboost module, imported late (seconds); its idle threads sleep instead of spinning."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xgboost

    return xgboost


@dataclass(frozen=True)
class FittedXgboost:
    """A `Fitted` model; see base.py."""

    booster: Any
    algorithm: str
    target: str

    def predict(self, x: np.ndarray) -> np.ndarray:
        p = np.asarray(self.booster.inplace_predict(x), float)
        return np.clip(p, 0.0, 1.0) if self.algorithm == "random_forest" and self.target == "binary" else p

    def save(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))

    def importance(self) -> dict[int, float]:
        names = self.booster.feature_names
        gains = self.booster.get_score(importance_type="total_gain")
        index = {name: k for k, name in enumerate(names)} if names else {}
        return shares({index[name] if names else int(name[1:]): float(gain) for name, gain in gains.items()})

    def contributions(self, x: np.ndarray) -> np.ndarray:
        data = xgboost_module().DMatrix(x, feature_names=self.booster.feature_names, nthread=1)
        return np.asarray(self.booster.predict(data, pred_contribs=True), float)[:, :-1]


def full_params(candidate: Mapping[str, Any], seed: int, nthread: int, target: str = "binary") -> dict[str, Any]:
    """Training parameters of an xgboost candidate."""
    params = refuse_reserved(candidate, _DECIDED)
    objective = "binary:logistic" if target == "binary" else "reg:squarederror"
    fixed = {"objective": objective, "tree_method": "hist", "seed": seed, "nthread": nthread}
    return {"max_bin": MAX_BIN, **params, **fixed}


def fit(candidate, x, y, w, seed, nthread, target, shared) -> FittedXgboost:
    """As `estimators.fit`."""
    xgb = xgboost_module()
    rounds = int(candidate["rounds"])
    algorithm = candidate["algorithm"]
    params = full_params(candidate, seed, nthread, target)
    if algorithm == "random_forest":
        refuse_reserved(candidate, _FOREST_DECIDED)
        params = FOREST | params | {"objective": "reg:squarederror", "lambda": 0.0, "eta": 1.0}
        params |= {"num_parallel_tree": rounds, "base_score": float(w @ y / w.sum())}
        rounds = 1
    bins = params["max_bin"]
    kept = {} if shared is None else shared
    if ("xgboost", bins) not in kept:
        kept["xgboost", bins] = xgb.QuantileDMatrix(x, label=y, weight=w, max_bin=bins, nthread=nthread)
    kept["xgboost", bins].set_label(y)  # the bins do not depend on it
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        booster = xgb.train(params, kept["xgboost", bins], num_boost_round=rounds)
    for warning in told:
        if unused := _UNUSED.search(str(warning.message)):
            refuse_unknown(candidate, unused[1].replace('"', "").split(", "))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if algorithm == "random_forest":
        booster.set_attr(target=target)  # its objective does not tell
    return FittedXgboost(booster, algorithm, target)


def load(algorithm: str, raw: bytes) -> FittedXgboost:
    """As `estimators.load`."""
    booster = xgboost_module().Booster(model_file=bytearray(raw))
    if algorithm == "random_forest":
        return FittedXgboost(booster, algorithm, str(booster.attr("target")))
    logistic = '"binary:logistic"' in booster.save_config()
    return FittedXgboost(booster, algorithm, "binary" if logistic else "real")

"""LightGBM in its deterministic mode; saved as its own text format."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.errors import ConfigError
from fx_assets.evaluation.estimators.base import refuse_reserved, refuse_unknown, shares, sigmoid

MAX_BIN = 127
_END = "\nend of trees\n"
_DECIDED = frozenset({"objective", "seed", "num_threads", "deterministic", "device_type", "boosting"})


@dataclass(frozen=True)
class FittedLightgbm:
    """A `Fitted` model; see base.py."""

    booster: Any
    target: str
    algorithm: str = "lightgbm"

    def predict(self, x: np.ndarray) -> np.ndarray:
        margin = np.asarray(self.booster.predict(x, raw_score=True, num_threads=1), float)
        return sigmoid(margin) if self.target == "binary" else margin

    def save(self) -> bytes:
        # What follows the trees names threads and other settings of the training; prediction needs none of them.
        text = self.booster.model_to_string(num_iteration=-1)
        return text[: text.index(_END) + len(_END)].encode()

    def importance(self) -> dict[int, float]:
        return shares({k: float(g) for k, g in enumerate(self.booster.feature_importance("gain"))})

    def contributions(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(x, pred_contrib=True, num_threads=1), float)[:, :-1]


def _lightgbm() -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import lightgbm
    except OSError as error:  # its wheel brings no OpenMP runtime, as the others' do
        raise ConfigError(
            f"algorithm lightgbm: {error}. On Debian or Ubuntu: sudo apt install libgomp1; or use another algorithm."
        ) from None

    return lightgbm


def fit(candidate, x, y, w, seed, nthread, target, shared) -> FittedLightgbm:
    """As `estimators.fit`."""
    lgb = _lightgbm()
    # LightGBM draws rows only where bagging_freq says how often; a fraction without it would be ignored.
    params = {"max_bin": MAX_BIN, "bagging_freq": 1, **refuse_reserved(candidate, _DECIDED)}
    params |= {
        "objective": "binary" if target == "binary" else "regression",
        "seed": seed,
        "num_threads": nthread,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    kept = {} if shared is None else shared
    # Any of the parameters, the seed too, may change the bins: only an equal candidate takes what is there.
    key = ("lightgbm", tuple(sorted(params.items())))
    if key not in kept:
        kept[key] = lgb.Dataset(x, label=y, weight=w, params=dict(params), free_raw_data=False).construct()
    kept[key].set_label(y)  # the bins do not depend on it
    booster = lgb.train(params, kept[key], num_boost_round=int(candidate["rounds"]))
    # LightGBM ignores what it does not know; it states what it does know under its main names.
    known = set(re.findall(r"^\[(\w+):", booster.model_to_string(num_iteration=1), flags=re.MULTILINE))
    if unknown := set(candidate.get("params", {})) - known:
        refuse_unknown(candidate, unknown)
    return FittedLightgbm(booster, target)


def load(algorithm: str, raw: bytes) -> FittedLightgbm:
    """As `estimators.load`."""
    text = raw.decode()
    booster = _lightgbm().Booster(model_str=text)
    return FittedLightgbm(booster, "binary" if "\nobjective=binary" in text else "real")

"""Fitting XGBoost the same way every time: fixed seed, explicit threads, no waiting threads that spin."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import xgboost


def xgboost_module() -> Any:
    """The xgboost module, imported late (seconds); its idle threads sleep instead of spinning."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xgboost

    return xgboost


def matrix_columns(frame: pd.DataFrame, feature_names: Sequence[str]) -> np.ndarray:
    """The features as float32 (n, features): what a served row has too. KeyError for an absent one."""
    return np.ascontiguousarray(frame[list(feature_names)].to_numpy(np.float32))


def row_weights(frame: pd.DataFrame) -> np.ndarray:
    """The weight column, or ones."""
    return frame["weight"].to_numpy(float) if "weight" in frame else np.ones(len(frame))


def full_params(candidate: Mapping[str, Any], seed: int, nthread: int) -> dict[str, Any]:
    """Training parameters of a candidate. Raises ValueError for an algorithm other than xgboost."""
    if candidate.get("algorithm") != "xgboost":
        raise ValueError(
            f"candidate {candidate.get('name')!r}: algorithm {candidate.get('algorithm')!r} is unknown. Use xgboost."
        )
    fixed = {"objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": nthread}
    return {"max_bin": 128, **candidate.get("params", {}), **fixed}


def fit_final(
    frame: pd.DataFrame,
    feature_names: Sequence[str],
    candidate: Mapping[str, Any],
    seed: int = 0,
    nthread: int = 2,
) -> xgboost.Booster:
    """Fit a candidate on every labelled row; the same input gives the same `save_raw` bytes."""
    xgb = xgboost_module()
    known = frame.loc[frame["label"].notna()]
    params = full_params(candidate, seed, nthread)
    data = xgb.QuantileDMatrix(
        matrix_columns(known, feature_names),
        label=np.asarray(known["label"], float),
        weight=row_weights(known),
        feature_names=list(feature_names),
        max_bin=params["max_bin"],
        nthread=nthread,
    )
    return xgb.train(params, data, num_boost_round=int(candidate["rounds"]))

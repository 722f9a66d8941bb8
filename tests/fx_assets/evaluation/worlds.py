"""Rows whose truth is known, for tests of studies and of what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.spec import Folding, StudySpec

NAMES = ("signal", "noise", "log_return_1")
CANDIDATES = (
    {"name": "stumps", "algorithm": "xgboost", "params": {"max_depth": 1, "eta": 0.1}, "rounds": 30},
    {"name": "trees", "algorithm": "xgboost", "params": {"max_depth": 3, "eta": 0.1}, "rounds": 30},
)
SPREAD = {"A": 1e-5, "B": 1e-5}
HOUR = pd.Timedelta(hours=1)
#: One of each algorithm, small.
ALGORITHMS = (
    {"name": "xgb", "algorithm": "xgboost", "params": {"max_depth": 2, "eta": 0.1, "subsample": 0.7}, "rounds": 30},
    {"name": "lgbm", "algorithm": "lightgbm", "params": {"num_leaves": 6, "bagging_fraction": 0.7}, "rounds": 30},
    {"name": "cat", "algorithm": "catboost", "params": {"depth": 3, "subsample": 0.7}, "rounds": 30},
    {"name": "forest", "algorithm": "random_forest", "params": {"max_depth": 5, "colsample_bynode": 0.7}, "rounds": 40},
    {"name": "line", "algorithm": "logistic", "params": {}, "rounds": 30},
)


def world(strength: float, rows: int = 2500, seed: int = 0) -> pd.DataFrame:
    """Two instruments whose hourly direction follows `signal` with the given strength."""
    parts = []
    for k, name in enumerate("AB"):
        rng = np.random.default_rng(seed + k)
        signal = rng.normal(0, 1, rows)
        forward = 1e-3 * (strength * signal + rng.normal(0, 1, rows))
        time = pd.date_range("2021-01-04", periods=rows, freq="1h", tz="UTC").as_unit("us")
        frame = pd.DataFrame({"instrument": name, "time": time, "decision_time": time + HOUR})
        parts.append(
            frame.assign(
                label=(forward > 0).astype(float),
                label_end=time + 2 * HOUR,
                forward_return=forward,
                signal=signal,
                noise=rng.normal(0, 1, rows),
                log_return_1=np.concatenate([[0.0], forward[:-1]]),
                persistence=np.abs(rng.normal(0, 1, rows)),
            )
        )
    return pd.concat(parts, ignore_index=True)


def spec(kind: str = "direction", **fields: Any) -> StudySpec:
    """A study of the world: four folds, seed 0, no latency."""
    said = {
        "feature_names": NAMES,
        "candidates": CANDIDATES,
        "label_kind": kind,
        "typical": SPREAD,
        "validation": Folding(folds=4, embargo_minutes=120),
        "latency_bars": 0,
        "seed": 0,
    }
    return StudySpec(**(said | fields))


def arrays(strength: float = 0.8, rows: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x float32 (2 rows, 3), labels and weights of a world."""
    frame = world(strength, rows, seed)
    weights = np.random.default_rng(seed).uniform(0.3, 1.0, len(frame))
    return frame[list(NAMES)].to_numpy(np.float32), frame["label"].to_numpy(float), weights

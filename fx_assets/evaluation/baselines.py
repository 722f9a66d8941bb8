"""Naive forecasts, each fitted on a fold's training rows and stated as a probability for its test rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.evaluation.calibration import logistic_line
from fx_assets.features.blocks import NEW_YORK, time_us, wall_minute

# Rows of the overall base rate mixed into each hour, so that a thin hour does not state an extreme
# probability.
SMOOTHING = 20.0


def baseline_predictions(frame: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """P(label = 1) on the test rows by every baseline the frame supports.

    zero_rule: the training base rate. last_sign: the training frequency after a rise, a fall or no change
    (needs log_return_1). hour_of_day: the training frequency of the decision's New York hour.
    persistence: the trailing volatility itself, stated as its rank among the training rows' (needs persistence).
    volatility_persistence: logistic regression on log(1 + persistence).
    """
    y = frame["label"].to_numpy(float)
    w = frame["weight"].to_numpy(float) if "weight" in frame else np.ones(len(frame))
    rate = float(w[train] @ y[train] / w[train].sum())
    out = {"zero_rule": np.full(len(test), rate)}
    if "log_return_1" in frame:
        sign = np.sign(np.nan_to_num(frame["log_return_1"].to_numpy(float))).astype(np.int64) + 1
        out["last_sign"] = _frequencies(sign, y, w, train, test, rate)
    hour = wall_minute(time_us(frame["decision_time"]), NEW_YORK) % 1440 // 60
    out["hour_of_day"] = _frequencies(hour, y, w, train, test, rate)
    if "persistence" in frame:
        raw = frame["persistence"].to_numpy(float)
        score = np.log1p(raw)
        known = train[np.isfinite(score[train])]
        seen = np.sort(raw[known])
        rank = 0.5 * (np.searchsorted(seen, raw[test], "left") + np.searchsorted(seen, raw[test], "right"))
        out["persistence"] = np.where(np.isfinite(raw[test]), (rank + 0.5) / (len(seen) + 1.0), 0.5)
        intercept, slope = logistic_line(score[known], y[known], w[known])
        stated = 1.0 / (1.0 + np.exp(-(intercept + slope * score[test])))
        out["volatility_persistence"] = np.where(np.isfinite(stated), stated, rate)
    return out


def _frequencies(
    group: np.ndarray, y: np.ndarray, w: np.ndarray, train: np.ndarray, test: np.ndarray, rate: float
) -> np.ndarray:
    size = int(group.max()) + 1
    mass = np.bincount(group[train], w[train], minlength=size)
    hits = np.bincount(group[train], (w * y)[train], minlength=size)
    return ((hits + SMOOTHING * rate) / (mass + SMOOTHING))[group[test]]

"""A challenger beside the champion: the same rows, the registered figures, the inputs that each leans on.

Only numbers are made here; decision.py holds them against thresholds and reads them out. Rows count only from the
champion's own session on: it was trained on what came before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.backtest import trading_day
from fx_assets.evaluation.gates import lookup
from fx_assets.evaluation.importance import stability
from fx_assets.evaluation.metrics import auc_difference

# Fewer common rows cannot tell two models apart: the comparison is then inconclusive and does not block.
MIN_COMMON_ROWS = 500
MIN_COMMON_DAYS = 5
# Figures of two studies that are compared although their rows differ; each has its own interval.
REGISTERED = ("auc", "brier", "ece", "backtest.sharpe_net")


def same_rows(out_of_fold: pd.DataFrame, champion: np.ndarray, since: pd.Timestamp, seed: int = 0) -> dict[str, Any]:
    """Challenger and champion on the same rows, decided from `since` on (the start of the champion's session).

    out_of_fold: decision_time (UTC), label (0/1), prediction (the challenger's, out of fold), optional weight.
    champion: its probabilities for these rows, (n,).
    Returns rows, days, since, conclusive, auc {value, low, high} (challenger minus champion, paired resamples of
    days) and loss {value, low, high, t, p_value}: the mean difference of the log losses with its interval and the
    two-sided p-value of a paired test in which a whole day is one observation. NaN where not conclusive.
    Source: Diebold and Mariano (1995), "Comparing Predictive Accuracy", with days in place of lags.
    """
    later = (out_of_fold["decision_time"] >= since).to_numpy()
    nothing = {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    rows, other = out_of_fold[later], np.asarray(champion, float)[later]
    y, p = rows["label"].to_numpy(float), rows["prediction"].to_numpy(float)
    days = trading_day(rows["decision_time"].to_numpy("datetime64[us]"))
    count = len(np.unique(days))
    enough = len(rows) >= MIN_COMMON_ROWS and count >= MIN_COMMON_DAYS
    found = {"rows": len(rows), "days": count, "since": since.isoformat(), "conclusive": False}
    if not enough or len(np.unique(y)) < 2 or not np.isfinite(other).all():
        return {**found, "auc": nothing, "loss": {**nothing, "t": float("nan"), "p_value": float("nan")}}
    w = rows["weight"].to_numpy(float) if "weight" in rows else np.ones(len(rows))
    difference = _log_losses(y, p) - _log_losses(y, other)
    return {
        **found,
        "conclusive": True,
        "auc": auc_difference(y, p, other, days, w, seed),
        "loss": paired_by_day(difference, w, days),
    }


def paired_by_day(difference: np.ndarray, weight: np.ndarray, days: np.ndarray) -> dict[str, float]:
    """Mean of paired differences, its 95 % interval and two-sided p-value; rows of one day are one observation.

    difference, weight: (n,); days: block of each row, (n,). A difference that is the same on all days has p 0, no
    difference at all has p 1. Student's distribution with a degree of freedom less than days.
    """
    from scipy.special import stdtr, stdtrit

    day = np.unique(days, return_inverse=True)[1].ravel()
    mass = float(weight.sum())
    mean = float(weight @ difference / mass)
    strayed = np.bincount(day, weight * (difference - mean))
    count = len(strayed)
    error = math.sqrt(float(strayed @ strayed) * count / max(count - 1, 1)) / mass
    # Without a spread between days: infinitely sure of a difference, or no difference.
    t = mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
    half = float(stdtrit(count - 1, 0.975)) * error
    p_value = float(2.0 * stdtr(count - 1, -abs(t)))
    return {"value": mean, "low": mean - half, "high": mean + half, "t": t, "p_value": p_value}


def registered_figures(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Challenger's figures minus the champion's registered ones, {name: {value, low, high, before, after}}.

    The studies have other rows, so that the difference has an interval of both: the half widths add in squares. Each
    name is the figure's without its section (sharpe_net); NaN where either study lacks it.
    """
    return {path.rsplit(".", 1)[-1]: _difference(path, challenger, champion) for path in REGISTERED}


def compare_importance(challenger: Mapping[str, float], champion: Mapping[str, float]) -> dict[str, Any]:
    """How far the two lean on the same inputs (importance.stability), and the features that came and went."""
    return {
        **stability(champion, challenger),
        "came": [name for name in list(challenger)[:10] if name not in list(champion)[:10]],
        "went": [name for name in list(champion)[:10] if name not in list(challenger)[:10]],
    }


def versus_naive(out_of_fold: pd.DataFrame, baselines: list[str], seed: int = 0) -> dict[str, dict[str, float]]:
    """AUC of the predictions minus that of each naive forecast, on the same resamples: {baseline: {value, low, high}}.

    out_of_fold: decision_time, label (0/1), prediction, one column for each of `baselines`, optional weight.
    """
    y, p = out_of_fold["label"].to_numpy(float), out_of_fold["prediction"].to_numpy(float)
    days = trading_day(out_of_fold["decision_time"].to_numpy("datetime64[us]"))
    w = out_of_fold["weight"].to_numpy(float) if "weight" in out_of_fold else None
    return {
        name: auc_difference(y, p, out_of_fold[name].to_numpy(float), days, w, seed)
        for name in baselines
        if name in out_of_fold
    }


def _log_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    q = np.clip(p, 1e-15, 1.0 - 1e-15)
    return -(y * np.log(q) + (1.0 - y) * np.log1p(-q))


def _difference(path: str, challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> dict[str, float]:
    after, before = lookup(challenger, f"{path}.value"), lookup(champion, f"{path}.value")
    halves = [(lookup(f, f"{path}.high") - lookup(f, f"{path}.low")) / 2.0 for f in (challenger, champion)]
    half = math.hypot(*halves)
    return {
        "value": after - before,
        "low": after - before - half,
        "high": after - before + half,
        "before": before,
        "after": after,
    }

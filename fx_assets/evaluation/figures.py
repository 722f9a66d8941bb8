"""The parts of a study's figures that are not intervals of one forecast: baselines, folds, seeds, returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.bootstrap import block_counts, interval
from fx_assets.evaluation.metrics import auc, auc_difference
from fx_assets.evaluation.training import fold_loss

ECE_BINS = 10


def against_baselines(
    y: np.ndarray, p: np.ndarray, w: np.ndarray, days: np.ndarray, baselines: Mapping[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """Figures of every baseline, and the model's advantage over the one with the highest AUC."""
    table = {
        name: {
            "auc": auc(y, q, w),
            "accuracy": accuracy(y, q, w),
            "brier": brier(y, q, w),
            "log_loss": fold_loss(y, q, "binary"),
        }
        for name, q in baselines.items()
    }
    best = max(table, key=lambda name: table[name]["auc"])
    right = accuracy(y, p, w)
    return {
        "baselines": table,
        "baseline": best,
        "auc_vs_baseline": auc_difference(y, p, baselines[best], days, w, seed),
        "brier_vs_base_rate": brier(y, p, w) - table["zero_rule"]["brier"],
        "accuracy_vs_zero_rule": right - table["zero_rule"]["accuracy"],
        "accuracy_vs_last_sign": right - table.get("last_sign", {}).get("accuracy", float("nan")),
    }


def fold_figures(
    decided: pd.Series,
    train_rows: Sequence[int],
    tests: Sequence[np.ndarray],
    y: np.ndarray,
    p: Sequence[np.ndarray],
    baseline: Sequence[np.ndarray],
) -> list[dict[str, Any]]:
    """One dict for each fold. decided: decision times of all rows; tests: row numbers of each fold's test.

    p, baseline: probabilities of each fold's test rows, the model's and the best baseline's.
    """
    out = []
    for k, (test, q, naive) in enumerate(zip(tests, p, baseline, strict=True)):
        times, truth = decided.iloc[test], y[test]
        out.append(
            {
                "fold": k + 1,
                "start": times.iloc[0].isoformat(),
                "end": times.iloc[-1].isoformat(),
                "train_rows": int(train_rows[k]),
                "test_rows": len(test),
                "base_rate": float(truth.mean()),
                "auc": auc(truth, q),
                "baseline_auc": auc(truth, naive),
                "accuracy": accuracy(truth, q, None),
                "brier": brier(truth, q, None),
                "log_loss": fold_loss(truth, q, "binary"),
            }
        )
    return out


def stability(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """The fold with the lowest AUC, and the share of folds above the baseline."""
    above = [fold["auc"] > fold["baseline_auc"] for fold in folds]
    return {
        "worst_fold": min(folds, key=lambda fold: fold["auc"]),
        "fold_share_above_baseline": float(np.mean(above)),
    }


def calibration_error(y: np.ndarray, p: np.ndarray) -> float:
    """Expected calibration error: mean |observed - stated| over ECE_BINS bins of about equal count."""
    edges = np.unique(np.quantile(p, np.arange(1, ECE_BINS) / ECE_BINS))
    error = np.bincount(np.searchsorted(edges, p, side="right"), weights=p - y)
    return float(np.abs(error).sum() / len(y))


def spread(values: Sequence[float]) -> dict[str, float]:
    """mean, standard deviation, least and greatest of a figure over seeds; a single value has deviation 0."""
    given = np.asarray(values, float)
    deviation = float(given.std(ddof=1)) if len(given) > 1 else 0.0
    return {"mean": float(given.mean()), "std": deviation, "low": float(given.min()), "high": float(given.max())}


def regression_report(
    value: np.ndarray, forecast: np.ndarray, w: np.ndarray, days: np.ndarray, seed: int
) -> dict[str, dict[str, float]]:
    """rmse, mae, r2 (against a forecast of 0) and rank_ic (Spearman), each {value, low, high} by day blocks.

    value: what came, forecast: what was foretold, in the label's unit (log return) (n,); w: weights; days: block of
    each row. rank_ic takes the ranks among all rows as given and does not weight.
    """
    block = np.unique(days, return_inverse=True)[1].ravel()
    counts = block_counts(int(block.max()) + 1, seed=seed)

    def sums(row: np.ndarray) -> np.ndarray:
        return np.bincount(block, weights=row, minlength=counts.shape[1])

    error, mass = value - forecast, sums(w)
    squares, base, size = sums(w * error**2), sums(w * value**2), sums(w * np.abs(error))
    a, b = (pd.Series(v).rank().to_numpy() - (len(v) + 1) / 2 for v in (value, forecast))
    cross, left, right = sums(a * b), sums(a * a), sums(b * b)

    def both(figure) -> dict[str, float]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return interval(float(figure(np.ones((1, counts.shape[1])))[0]), figure(counts))

    return {
        "rmse": both(lambda c: np.sqrt((c @ squares) / (c @ mass))),
        "mae": both(lambda c: (c @ size) / (c @ mass)),
        "r2": both(lambda c: 1.0 - (c @ squares) / (c @ base)),
        "rank_ic": both(lambda c: (c @ cross) / np.sqrt((c @ left) * (c @ right))),
    }


def accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    """Share of rows on the right side of 0.5."""
    return float(np.average((p >= 0.5) == (y > 0.5), weights=w))


def brier(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    """Mean squared error of probabilities."""
    return float(np.average((p - y) ** 2, weights=w))

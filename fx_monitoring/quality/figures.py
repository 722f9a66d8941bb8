"""Figures of answers against what happened, with intervals for few and overlapping rows.

The figures and their block bootstrap are fx_assets.evaluation's. What is added here is for live windows, which are far
shorter than a study: blocks that fit them, and intervals widened for how few blocks there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.calibration import logistic_line
from fx_assets.evaluation.metrics import ECE_BINS, classification_report
from fx_assets.features.blocks import MINUTE_US, time_us
from fx_assets.labels import sample_weights

#: With fewer blocks no interval is stated: a bootstrap of five says next to nothing.
MIN_BLOCKS = 6
#: From so many sessions on, a session is a block, as a day is one in a study; below, parts of a day are.
SESSIONS_AS_BLOCKS = 12
SHORTEST_BLOCK_MINUTES = 240
NORMAL = 1.959964  # the two-sided 95 % point of the normal distribution


def block_ids(rows: pd.DataFrame, horizon_minutes: float) -> np.ndarray:
    """The block of each row, int64 (n,): rows of one block are not taken for independent of each other.

    rows: session, decision_time. Where SESSIONS_AS_BLOCKS sessions have rows, each is a block; else stretches of four
    hours, or of two horizons where these are longer. All instruments of a moment share a block: they move together.
    """
    sessions, number = np.unique(rows["session"].to_numpy(str), return_inverse=True)
    if len(sessions) >= SESSIONS_AS_BLOCKS:
        return number.ravel().astype(np.int64)
    length = int(max(SHORTEST_BLOCK_MINUTES, 2 * horizon_minutes)) * MINUTE_US
    # A decision is taken at a bar's close, which the block that ends there still holds.
    return (time_us(rows["decision_time"]) - 1) // length


def weights(rows: pd.DataFrame, horizon_minutes: float) -> np.ndarray:
    """What each row weighs, (0, 1]: the average uniqueness of its label, as the rows of a study weigh.

    A row whose label's end is not known (feedback told its outcome) is taken to live one horizon.
    """
    nominal = rows["decision_time"] + pd.Timedelta(minutes=horizon_minutes)
    ends = rows["label_end"].fillna(nominal)
    late = ends <= rows["decision_time"]
    return sample_weights(rows[["instrument", "decision_time"]].assign(label_end=ends.mask(late, nominal)))


def measure(rows: pd.DataFrame, horizon_minutes: float, seed: int = 0) -> dict[str, Any]:
    """Figures of rows (session, instrument, decision_time, label_end, prediction, outcome; none of the last two
    missing), as the fields of a QualityRow name them; {n, n_effective, blocks} alone where there are none.
    """
    if rows.empty:
        return {"n": 0, "n_effective": 0.0, "blocks": 0}
    rows = rows.sort_values(["decision_time", "instrument"])  # sums are the same to the last bit, whoever asked first
    y, p = rows["outcome"].to_numpy(float), rows["prediction"].to_numpy(float)
    w, block = weights(rows, horizon_minutes), block_ids(rows, horizon_minutes)
    report = classification_report(y, p, w, block, seed)
    count = len(np.unique(block))
    found: dict[str, Any] = {
        "n": len(rows),
        "n_effective": float(report["n_effective"]),
        "blocks": count,
        "base_rate": report["base_rate"],
        "mean_prediction": float(w @ p / w.sum()),
        "ece": report["ece"]["value"],
        "ece_noise": ece_noise(p, w, report["n_effective"]),
    }
    for name in ("accuracy", "auc", "brier"):
        found |= widened(name, report[name], count)
    found |= slope(y, p, w, block)
    return {key: _finite(value) for key, value in found.items()}


def widened(name: str, figure: Mapping[str, float], blocks: int) -> dict[str, float | None]:
    """A figure between 0 and 1 with its ends as {name, name_low, name_high}; see widened_ends."""
    low, high = widened_ends(figure, blocks)
    return {
        name: figure["value"],
        f"{name}_low": None if low is None else max(0.0, low),
        f"{name}_high": None if high is None else min(1.0, high),
    }


def widened_ends(figure: Mapping[str, float], blocks: int) -> tuple[float | None, float | None]:
    """A bootstrap interval of few blocks, made as wide as it has to be; (None, None) with fewer than MIN_BLOCKS.

    figure: value, low and high. Resampling B blocks understates the spread by sqrt((B - 1) / B), and the normal's tails
    understate those of so few: both ends move away from the value by the factor sqrt(B / (B - 1)) t(B - 1) / 1.96.
    """
    value, low, high = figure["value"], figure["low"], figure["high"]
    if blocks < MIN_BLOCKS or not np.isfinite([value, low, high]).all():
        return None, None
    wide = float(np.sqrt(blocks / (blocks - 1)) * student(blocks - 1) / NORMAL)
    return value - wide * (value - low), value + wide * (high - value)


def student(degrees: int) -> float:
    """The two-sided 95 % point of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def ece_noise(p: np.ndarray, w: np.ndarray, n_effective: float) -> float:
    """The ECE that a perfectly calibrated model would show with so few rows, from the half-normal mean of each bin.

    A bin with the share s of the rows and mean forecast q is off by sqrt(2 / pi) sqrt(q (1 - q) / (s n)) on average.
    """
    edges = np.unique(np.quantile(p, np.arange(1, ECE_BINS) / ECE_BINS))
    bins = np.searchsorted(edges, p, side="right")
    mass = np.bincount(bins, weights=w)
    share, mean = mass / w.sum(), np.bincount(bins, weights=w * p) / np.maximum(mass, 1e-300)
    filled = share > 0
    spread = np.sqrt(np.clip(mean * (1 - mean), 0.0, None)[filled] / (share[filled] * max(n_effective, 1.0)))
    return float(np.sqrt(2 / np.pi) * (share[filled] @ spread))


def slope(y: np.ndarray, p: np.ndarray, w: np.ndarray, block: np.ndarray) -> dict[str, float | None]:
    """The calibration slope: of a logistic regression of what happened on the log odds stated. 1 is right, below 1 too
    bold, above 1 too timid. Its interval is from the clustered (sandwich) variance over blocks, with Student's t.
    """
    names = ("calibration_slope", "calibration_slope_low", "calibration_slope_high")
    q = np.clip(p, 1e-6, 1 - 1e-6)
    odds = np.log(q) - np.log1p(-q)
    if len(np.unique(y)) < 2 or float(np.ptp(odds)) < 1e-9:
        return dict.fromkeys(names)
    intercept, value = logistic_line(odds, y, w)
    codes, count = np.unique(block, return_inverse=True)[1].ravel(), len(np.unique(block))
    if count < MIN_BLOCKS:
        return {names[0]: value, names[1]: None, names[2]: None}
    stated = 1.0 / (1.0 + np.exp(-np.clip(intercept + value * odds, -30, 30)))
    design = np.column_stack([np.ones(len(odds)), odds])
    bread = np.linalg.pinv((design * (w * stated * (1 - stated))[:, None]).T @ design)
    residual = design * (w * (y - stated))[:, None]
    scores = np.column_stack([np.bincount(codes, weights=residual[:, k]) for k in range(2)])
    variance = (bread @ (scores.T @ scores) @ bread)[1, 1] * count / (count - 1)
    reach = student(count - 1) * float(np.sqrt(max(variance, 0.0)))
    return {names[0]: value, names[1]: value - reach, names[2]: value + reach}


def _finite(value: Any) -> Any:
    """JSON knows no NaN: what cannot be computed is None."""
    return None if isinstance(value, float) and not np.isfinite(value) else value

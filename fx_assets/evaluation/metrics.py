"""Figures of a probability forecast, each with an interval.

Intervals are 95 % percentile intervals of a block bootstrap: whole blocks (days, all instruments together)
are drawn with replacement RESAMPLES times from a seeded generator, so that hours of one day, and instruments
of one hour, are not taken for independent observations. Without blocks every row is its own block.
"""

from __future__ import annotations

import numpy as np

from fx_assets.evaluation.bootstrap import RESAMPLES, block_counts, interval

ECE_BINS = 10
CHUNK = 50
METHOD = f"block bootstrap by day, {RESAMPLES} resamples, 95 % percentile interval"


def classification_report(
    y: np.ndarray,
    p: np.ndarray,
    weights: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """Figures of probabilities p for outcomes y.

    y: 0/1 (n,); p: P(y = 1) (n,); weights: positive (n,) or None; blocks: block id (n,) or None.
    Returns n, n_effective, base_rate, log_loss, and accuracy (at 0.5), auc, brier, ece each as {value, low,
    high}; `interval` names the method. ece: 10 bins of equal count, fixed over resamples. n_effective: the
    number of independent rows that would give the mean squared error the same variance as the blocks do, at
    most n.
    Raises ValueError for empty or non-finite input.
    """
    y, p, w, block = _checked(y, p, weights, blocks)
    count = int(block.max()) + 1
    counts = block_counts(count, seed=seed)
    correct = ((p >= 0.5) == (y > 0.5)).astype(float)
    squared = (p - y) ** 2
    clipped = np.clip(p, 1e-15, 1.0 - 1e-15)
    loss = -(y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))
    mass = _block_sums(w, block, count)
    report: dict = {
        "n": len(y),
        "n_effective": _effective(squared, w, block, count),
        "base_rate": float(w @ y / w.sum()),
        "log_loss": float(w @ loss / w.sum()),
        "interval": METHOD,
    }
    for name, figure in (("accuracy", correct), ("brier", squared)):
        sums = _block_sums(w * figure, block, count)
        report[name] = interval(float(w @ figure / w.sum()), (counts @ sums) / np.maximum(counts @ mass, 1e-300))
    report["auc"] = interval(auc(y, p, w), _auc_draws(y, p, w, block, counts))
    report["ece"] = _calibration(y, p, w, block, counts)
    return report


def auc(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted area under the ROC curve, ties counted half; NaN where only one class occurs."""
    w = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    block = np.zeros(len(y), np.int64)
    return float(_auc_draws(np.asarray(y, float), np.asarray(p, float), w, block, np.ones((1, 1)))[0])


def auc_difference(
    y: np.ndarray,
    p: np.ndarray,
    baseline: np.ndarray,
    blocks: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """AUC of p minus AUC of baseline on the same rows and resamples (paired), {value, low, high}."""
    y, p, w, block = _checked(y, p, weights, blocks)
    other = np.asarray(baseline, float)
    counts = block_counts(int(block.max()) + 1, seed=seed)
    draws = _auc_draws(y, p, w, block, counts) - _auc_draws(y, other, w, block, counts)
    return interval(auc(y, p, w) - auc(y, other, w), draws)


def grouped_auc(
    y: np.ndarray,
    p: np.ndarray,
    groups: np.ndarray,
    blocks: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """AUC over the pairs of rows that are in the same group, {value, low, high}; NaN where no group has both classes.

    groups: such as the fold of each row, (n,). What differs between folds only, a base rate that moves and the models'
    answer to it, is so left out: the AUC of all rows together would take it for skill, or for its opposite.
    y, p, blocks: as for `classification_report`.
    """
    y, p, w, block = _checked(y, p, None, blocks)
    counts = np.vstack([np.ones(int(block.max()) + 1), block_counts(int(block.max()) + 1, seed=seed)])
    won, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for group in np.unique(groups):
        at = np.asarray(groups) == group
        parts = _auc_parts(y[at], p[at], w[at], block[at], counts)
        won, pairs = won + parts[0], pairs + parts[1]
    draws = np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return interval(float(draws[0]), draws[1:])


def _checked(y, p, weights, blocks) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    y, p = np.asarray(y, float), np.asarray(p, float)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    block = np.arange(len(y)) if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1].ravel()
    if not len(y) or not len(y) == len(p) == len(w) == len(block):
        raise ValueError(
            f"y, p, weights, blocks have {len(y)}, {len(p)}, {len(w)}, {len(block)} rows; need equal, > 0."
        )
    if not (np.isfinite(y).all() and np.isfinite(p).all() and np.isfinite(w).all() and w.sum() > 0):
        raise ValueError("y, p and weights must be finite and the weights positive. Drop rows without a label first.")
    return y, p, w, block


def _block_sums(values: np.ndarray, block: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(block, weights=values, minlength=count)


def _effective(figure: np.ndarray, w: np.ndarray, block: np.ndarray, count: int) -> float:
    centred = figure - w @ figure / w.sum()
    spread = _block_sums(w * centred, block, count)
    independent = w @ centred**2 * w.sum()
    clustered = spread @ spread
    kish = w.sum() ** 2 / (w @ w)
    return float(min(independent / clustered, kish)) if clustered > 0 else float(kish)


def _auc_draws(y: np.ndarray, p: np.ndarray, w: np.ndarray, block: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weighted AUC per resample, (resamples,); NaN where only one class was drawn."""
    won, pairs = _auc_parts(y, p, w, block, counts)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _auc_parts(
    y: np.ndarray, p: np.ndarray, w: np.ndarray, block: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the pairs put in the right order, and of all pairs, per resample: sorted once, then one sum each."""
    order = np.argsort(p, kind="stable")
    y, p, w, block = y[order], p[order], w[order], block[order]
    first = np.flatnonzero(np.concatenate([[True], p[1:] != p[:-1]]))
    positive, negative = w * y, w * (1.0 - y)
    won, pairs = np.empty(len(counts)), np.empty(len(counts))
    for begin in range(0, len(counts), CHUNK):
        drawn = counts[begin : begin + CHUNK][:, block]
        up = np.add.reduceat(drawn * positive, first, axis=1)
        down = np.add.reduceat(drawn * negative, first, axis=1)
        below = np.cumsum(down, axis=1) - 0.5 * down
        pairs[begin : begin + CHUNK] = up.sum(axis=1) * down.sum(axis=1)
        won[begin : begin + CHUNK] = np.einsum("ij,ij->i", up, below)
    return won, pairs


def _calibration(
    y: np.ndarray, p: np.ndarray, w: np.ndarray, block: np.ndarray, counts: np.ndarray
) -> dict[str, float]:
    edges = np.unique(np.quantile(p, np.arange(1, ECE_BINS) / ECE_BINS))
    bins = np.searchsorted(edges, p, side="right")
    size, blocks = len(edges) + 1, counts.shape[1]
    cell = block * size + bins
    error = np.bincount(cell, weights=w * (p - y), minlength=blocks * size).reshape(blocks, size)
    mass = np.bincount(block, weights=w, minlength=blocks)
    draws = np.abs(counts @ error).sum(axis=1) / np.maximum(counts @ mass, 1e-300)
    return interval(float(np.abs(error.sum(axis=0)).sum() / w.sum()), draws)

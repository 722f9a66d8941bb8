"""Block bootstrap weights: whole days are drawn with replacement, so dependence within a day is kept."""

from __future__ import annotations

import numpy as np

RESAMPLES = 300
LEVEL = 0.95


def block_counts(blocks: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each block is drawn in each resample, float64 (resamples, blocks); rows sum to `blocks`."""
    draws = np.random.default_rng(seed).integers(0, blocks, size=(resamples, blocks))
    draws += np.arange(resamples)[:, None] * blocks
    return np.bincount(draws.ravel(), minlength=resamples * blocks).reshape(resamples, blocks).astype(float)


def interval(value: float, draws: np.ndarray) -> dict[str, float]:
    """{value, low, high}: the percentile interval at LEVEL, NaN where under half of the draws are defined."""
    defined = draws[np.isfinite(draws)]
    if len(defined) * 2 < max(len(draws), 1):
        return {"value": float(value), "low": float("nan"), "high": float("nan")}
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return {"value": float(value), "low": float(low), "high": float(high)}

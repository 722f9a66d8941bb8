"""The profile of a model's training rows that tells the service how unusual an input is: outlier.json of a bundle.

The distance of a row is the mean over its features of ((x - center) / scale) squared, each term at most 100, so that
one wild feature cannot hide what the others say. The service answers with the share of training rows that are nearer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TERM_LIMIT = 100.0
IQR_OF_NORMAL = 1.349  # the interquartile range of a normal distribution, in standard deviations


def profile(rows: np.ndarray) -> dict[str, Any]:
    """center and scale of each column (median, and interquartile range as a deviation), and the 101 quantiles of the
    rows' distances. rows: (n, features); a missing value counts as at the center, a constant column has scale 1.
    """
    values = np.array(rows, dtype=np.float64)
    values[:, np.isnan(values).all(axis=0)] = 0.0
    low, center, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    scale = (high - low) / IQR_OF_NORMAL
    scale[scale <= 0] = 1.0
    terms = np.minimum(np.nan_to_num((values - center) / scale) ** 2, TERM_LIMIT)
    quantiles = np.quantile(terms.mean(axis=1), np.linspace(0, 1, 101))
    return {"center": center.tolist(), "scale": scale.tolist(), "quantiles": quantiles.tolist()}

"""Sample weights for overlapping labels."""

from __future__ import annotations

import numpy as np


def uniqueness_weights(label_start: np.ndarray, label_end: np.ndarray) -> np.ndarray:
    """Average uniqueness of each label: the mean over its life of 1 / (labels alive at that moment).

    label_start, label_end: datetime64 or int64 (n,), half-open lives [start, end), any order; pass one
        instrument at a time. Returns float64 (n,) in (0, 1]; 1 for a label that overlaps no other.
    Raises ValueError where a label does not end after its start (missing ends included).
    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, section 4.4.
    """
    start = _integers(label_start)
    end = _integers(label_end)
    if np.any(end <= start):
        row = int(np.flatnonzero(end <= start)[0])
        raise ValueError(f"label {row} does not end after its start. Drop rows without a label first.")
    if not len(start):
        return np.empty(0)
    edges = np.unique(np.concatenate([start, end]))
    alive = np.searchsorted(np.sort(start), edges, side="right") - np.searchsorted(np.sort(end), edges, side="right")
    # Between two edges the count is constant; nothing is alive in the gaps, which no label crosses.
    share = np.where(alive[:-1] > 0, np.diff(edges) / np.maximum(alive[:-1], 1), 0.0)
    integral = np.concatenate([[0.0], np.cumsum(share)])
    covered = integral[np.searchsorted(edges, end)] - integral[np.searchsorted(edges, start)]
    return covered / (end - start)


def _integers(moments: np.ndarray) -> np.ndarray:
    values = np.asarray(moments)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64)
    return values.astype(np.int64)

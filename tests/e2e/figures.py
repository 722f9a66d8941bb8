"""Figures by formulas written apart from the platform's own: what the demo claims is held against these."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds


def rows_of(lake: Path, table: str) -> int:
    """Rows of a table: bronze line by line (the first of each file tells about the fetch), others by Arrow."""
    if table.startswith("bronze"):
        count = 0
        for path in (lake / table).rglob("*.ndjson.gz"):
            with gzip.open(path, "rt") as lines:
                next(lines)
                count += sum(1 for line in lines if json.loads(line))
        return count
    return ds.dataset(lake / table, format="parquet").count_rows()


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """The chance that a positive is scored above a negative: Mann and Whitney's rank sum, ties counting half."""
    ranks = pd.Series(score).rank().to_numpy()
    positive = label > 0.5
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def accuracy(label: np.ndarray, score: np.ndarray) -> float:
    """Share of rows on the right side of one half."""
    return float(((score >= 0.5) == (label > 0.5)).mean())


def brier(label: np.ndarray, score: np.ndarray) -> float:
    """Mean squared distance of the stated probability from what happened."""
    return float(np.square(score - label).mean())


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Population stability index over deciles of the reference, shares floored at 0.0001.

    For features that take many values and are never missing; float32, as the model scores them.
    """
    reference, current = reference.astype(np.float32).astype(float), current.astype(np.float32).astype(float)
    deciles = [np.quantile(reference, k / 10) for k in range(1, 10)]
    total = 0.0
    for low, high in zip([-np.inf, *deciles], [*deciles, np.inf], strict=True):
        expected = max(((reference >= low) & (reference < high)).mean(), 1e-4)
        found = max(((current >= low) & (current < high)).mean(), 1e-4)
        total += (found - expected) * np.log(found / expected)
    return float(total)

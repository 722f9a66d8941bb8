"""Which inputs a model leans on, as shares of the whole, and how far two models agree about it.

Gain is what each learner counts itself; contributions are the additive shares of single predictions (SHAP) that the
libraries compute for their own trees; permutation asks any model. Shares are plain numbers: gates, records and the
model card read the same mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

TOP = 50
# Features that two models are compared on: below these the shares of correlated inputs trade places by chance.
COMPARED = 20
# Rows a permutation is measured on: the error of the mean loss is then far below the differences of interest.
PERMUTED_ROWS = 4000


def named(shares: Mapping[int, float], names: Sequence[str], top: int = TOP) -> dict[str, float]:
    """The `top` largest shares by name, largest first; equal ones by name.

    shares: column index -> weight >= 0 of any scale, as estimators state it; columns that were never used may be
    absent. All of them together make 1, so that what is cut off can be told from the sum.
    Raises ValueError for a column that `names` does not have.
    """
    outside = [index for index in shares if not 0 <= index < len(names)]
    if outside:
        raise ValueError(f"importance of column {outside[0]}, but there are {len(names)} features. Pass their names.")
    total = float(sum(max(value, 0.0) for value in shares.values()))
    if not total > 0:
        return {}
    found = ((names[index], float(max(value, 0.0)) / total) for index, value in shares.items() if value > 0)
    return dict(sorted(found, key=lambda item: (-item[1], item[0]))[:top])


def contribution_shares(contributions: np.ndarray, names: Sequence[str], top: int = TOP) -> dict[str, float]:
    """Mean absolute contribution of every feature, as shares, largest first.

    contributions: (rows, features) in the model's margin, without the constant term.
    Source: Lundberg et al. (2020), "From local explanations to global understanding with explainable AI for trees".
    """
    mean = np.abs(np.asarray(contributions, float)).mean(axis=0)
    return named(dict(enumerate(mean.tolist())), names, top)


def permutation_shares(
    predict: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray | None,
    names: Sequence[str],
    seed: int = 0,
    top: int = TOP,
) -> dict[str, float]:
    """How much the log loss grows when one column is shuffled among the rows, as shares, largest first.

    predict: float32 (n, features) -> probabilities (n,); y: 0/1 (n,), w: weights (n,) or None. At most PERMUTED_ROWS
    rows, evenly spread, are used.
    Source: Breiman (2001), "Random Forests", section 10.
    """
    picks = np.linspace(0, len(x) - 1, min(PERMUTED_ROWS, len(x))).astype(int)
    rows, outcome = np.array(x[picks], np.float32), np.asarray(y, float)[picks]
    weight = None if w is None else np.asarray(w, float)[picks]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    whole = _loss(outcome, predict(rows), weight)
    grown: dict[int, float] = {}
    for column in range(rows.shape[1]):
        kept = rows[:, column].copy()
        rows[:, column] = kept[order]
        grown[column] = _loss(outcome, predict(rows), weight) - whole
        rows[:, column] = kept
    return named(grown, names, top)


def stability(before: Mapping[str, float], after: Mapping[str, float], top: int = COMPARED) -> dict[str, Any]:
    """How far two models lean on the same inputs.

    Returns {overlap: share of the `top` largest of `before` that are among those of `after`, spearman: rank
    correlation over the features that are large in either (absent ones count 0), common: features in both};
    NaN where there is nothing to compare.
    """
    first, second = list(before)[:top], list(after)[:top]
    union = sorted(set(first) | set(second))
    if not first or not second:
        return {"overlap": float("nan"), "spearman": float("nan"), "common": 0}
    ranks = [_ranks(np.array([shares.get(name, 0.0) for name in union])) for shares in (before, after)]
    spread = ranks[0].std() * ranks[1].std()
    covariance = float(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean())
    return {
        "overlap": len(set(first) & set(second)) / min(len(first), top),
        "spearman": covariance / float(spread) if spread > 0 else float("nan"),
        "common": len(set(before) & set(after)),
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[place.ravel()]


def _loss(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    q = np.clip(np.asarray(p, float), 1e-15, 1.0 - 1e-15)
    return float(-np.average(y * np.log(q) + (1.0 - y) * np.log1p(-q), weights=w))

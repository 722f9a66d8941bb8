"""Whether a champion leans on the same inputs now as it did in training.

A model whose inputs have not drifted one by one can still live on others than before: a feature that decided little
decides much where the market has changed. The figures are those of the model card (fx_assets.evaluation.importance).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.importance import contribution_shares, stability

#: Rows whose contributions are computed, evenly spread: shares of the mean do not change with more.
ROWS = 2_000
TOP = 15

Contributions = Callable[[np.ndarray], np.ndarray | None]


def importance_drift(
    contributions: Contributions, training: pd.DataFrame, recent: pd.DataFrame, features: Sequence[str]
) -> dict[str, Any] | None:
    """How far mean absolute contributions (SHAP) to recent rows differ from those to training rows.

    contributions: of float32 rows, as Predictor.contributions gives them; None where the model has none, which gives
    None. training: the sample in the bundle, in time order; its two halves show what time alone does to the ranks.
    Returns {rows, training_rows, spearman, overlap, expected, features: [{feature, training, recent}]}: rank
    correlation and overlap of the largest 20 (importance.stability), the correlation between the halves (expected), and
    the features with the largest shares in either, by change.
    """
    if recent.empty or training.empty:
        return None
    half = len(training) // 2
    shares = [_shares(contributions, part, features) for part in (training, recent, training[:half], training[half:])]
    before, after, first, second = shares
    if before is None or after is None:
        return None
    alike = stability(before, after)
    expected = stability(first, second) if first and second else {"spearman": float("nan")}
    named = sorted(set(list(before)[:TOP]) | set(list(after)[:TOP]), key=lambda n: -abs(_change(before, after, n)))
    return {
        "rows": len(recent),
        "training_rows": len(training),
        "spearman": alike["spearman"],
        "overlap": alike["overlap"],
        "expected": expected["spearman"],
        "features": [
            {"feature": name, "training": before.get(name, 0.0), "recent": after.get(name, 0.0)} for name in named
        ],
    }


def _change(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)


def _shares(contributions: Contributions, rows: pd.DataFrame, features: Sequence[str]) -> dict[str, float] | None:
    if rows.empty:
        return None
    picks = np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int)
    values = contributions(rows[list(features)].to_numpy(np.float32)[picks])
    return None if values is None else contribution_shares(values, features, len(features))

"""Learning algorithms behind one interface: fit, predict, save as bytes, load. No pickle, ever.

Equal input, seed and number of threads give equal bytes. Every algorithm takes float32 features, which may hold NaN,
and weights; `target` is "binary" (y in {0, 1}, predictions are probabilities) or "real".
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fx_assets.evaluation.estimators.base import Fitted

ALGORITHMS = {
    "xgboost": "fx_assets.evaluation.estimators.xgb",
    "random_forest": "fx_assets.evaluation.estimators.xgb",
    "lightgbm": "fx_assets.evaluation.estimators.lgbm",
    "catboost": "fx_assets.evaluation.estimators.cat",
    "logistic": "fx_assets.evaluation.estimators.linear",
}
TARGETS = ("binary", "real")


def fit(
    candidate: Mapping[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    seed: int,
    nthread: int,
    target: str = "binary",
    shared: dict | None = None,
) -> Fitted:
    """Fit one candidate.

    candidate: {name, algorithm, rounds, params}. x: float32 (n, features); y: float (n,); w: weights (n,).
    shared: a dict that belongs to exactly this x and w; what an algorithm derives from them alone (bins) is kept there
    for the next candidate, or for other labels of the same rows.
    Raises ValueError for an unknown algorithm or target, and for a fit without rows or with one class only.
    """
    module = _module(candidate.get("algorithm", ""), candidate.get("name"))
    if target not in TARGETS:
        raise ValueError(f"candidate {candidate.get('name')!r}: target {target!r} is not {' or '.join(TARGETS)}.")
    if not len(y) or not len(x) == len(y) == len(w):
        raise ValueError(f"candidate {candidate.get('name')!r}: {len(x)} rows, {len(y)} labels, {len(w)} weights.")
    if target == "binary" and (y.min() == y.max() or not np.isin((y.min(), y.max()), (0.0, 1.0)).all()):
        raise ValueError(
            f"candidate {candidate.get('name')!r}: labels from {y.min():g} to {y.max():g}; need both 0 and 1. "
            "Widen the training window."
        )
    return module.fit(candidate, x, np.asarray(y, float), np.asarray(w, float), seed, nthread, target, shared)


def load(algorithm: str, raw: bytes) -> Fitted:
    """What `Fitted.save` gave. Raises ValueError for an unknown algorithm."""
    return _module(algorithm, None).load(algorithm, raw)


def _module(algorithm: str, name: Any) -> Any:
    if algorithm not in ALGORITHMS:
        whose = "" if name is None else f"candidate {name!r}: "
        raise ValueError(f"{whose}algorithm {algorithm!r} is unknown. Use one of {', '.join(sorted(ALGORITHMS))}.")
    return importlib.import_module(ALGORITHMS[algorithm])

"""What every fitted model offers, and the small things the algorithms share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Protocol

import numpy as np


class Fitted(Protocol):
    """One fitted model."""

    algorithm: str
    target: str

    def predict(self, x: np.ndarray) -> np.ndarray:
        """float64 (n,) for float32 (n, features): P(label = 1), or the value for a real target."""
        ...

    def save(self) -> bytes:
        """The model as bytes; equal models give equal bytes."""
        ...

    def importance(self) -> dict[int, float]:
        """Share of each feature index in the model's gain (size of its coefficient, for a linear model); sum 1."""
        ...

    def contributions(self, x: np.ndarray) -> np.ndarray | None:
        """SHAP values (n, features), in units of the margin (log odds; the value for a real target)."""
        ...


def shares(gains: Mapping[int, float]) -> dict[int, float]:
    """Gains as shares of their sum, by feature index in ascending order; features without gain are left out."""
    total = float(sum(gains.values()))
    return {index: gains[index] / total for index in sorted(gains) if gains[index] > 0} if total > 0 else {}


def refuse_reserved(candidate: Mapping[str, Any], reserved: frozenset[str]) -> dict[str, Any]:
    """The candidate's params. Raises ValueError for one that the study itself decides."""
    params = dict(candidate.get("params", {}))
    if taken := sorted(reserved & set(params)):
        raise ValueError(
            f"candidate {candidate.get('name')!r}: params {', '.join(taken)} are set by the study. Leave them out."
        )
    return params


def refuse_unknown(candidate: Mapping[str, Any], names: Iterable[str]) -> NoReturn:
    """Raise ValueError for params that the algorithm would have ignored without a word: misspelt ones, mostly."""
    raise ValueError(
        f"candidate {candidate.get('name')!r}: params {', '.join(sorted(names))} are unknown to "
        f"{candidate.get('algorithm')}. Use its documented names (no aliases), or remove them."
    )


def sigmoid(margin: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-margin)), without overflow."""
    z = np.exp(-np.abs(margin))
    return np.where(margin >= 0, 1.0 / (1.0 + z), z / (1.0 + z))

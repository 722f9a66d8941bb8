"""Probability calibration: a monotone map from what a model states to what was observed.

Always fitted on rows the model was not trained on, inside the fold (training.py sees to that).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fx_assets.evaluation.estimators.base import sigmoid

METHODS = ("none", "platt", "isotonic")
EDGE = 1e-6
MIN_ROWS = 100
# Rows of the overall rate mixed into each end of an isotonic curve's steps, so that none states certainty.
SMOOTHING = 10.0


@dataclass(frozen=True)
class Platt:
    """p -> sigmoid(slope * logit(p) + intercept)."""

    slope: float
    intercept: float
    method: str = "platt"

    def apply(self, p: np.ndarray) -> np.ndarray:
        return sigmoid(self.slope * _logit(p) + self.intercept)

    def numbers(self) -> list[list[float]]:
        return [[self.slope, self.intercept]]


@dataclass(frozen=True)
class Isotonic:
    """p -> linear interpolation between the knots (x, y), both ascending; flat outside."""

    x: np.ndarray
    y: np.ndarray
    method: str = "isotonic"

    def apply(self, p: np.ndarray) -> np.ndarray:
        return np.interp(p, self.x, self.y)

    def numbers(self) -> list[list[float]]:
        return [self.x.tolist(), self.y.tolist()]


Calibrator = Platt | Isotonic


def fit(method: str, p: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibrator | None:
    """Fit a calibrator: p stated probabilities, y 0/1, w weights, all (n,). None for the method "none".

    platt: weighted logistic regression on the log odds, slope not below 0 (Platt 1999). isotonic: pool adjacent
    violators (Ayer et al. 1955), knots at the pools' mean p, steps drawn towards the mean by SMOOTHING rows.
    Raises ValueError for an unknown method, fewer than MIN_ROWS rows or a single class.
    """
    if method not in METHODS:
        raise ValueError(f"calibration {method!r} is unknown. Use one of {', '.join(METHODS)}.")
    if method == "none":
        return None
    if len(p) < MIN_ROWS or y.min() == y.max():
        raise ValueError(
            f"calibration {method}: {len(p)} rows with labels from {y.min() if len(y) else 'none'} to "
            f"{y.max() if len(y) else 'none'}; need {MIN_ROWS} rows and both classes. Widen the training window."
        )
    return _platt(p, y, w) if method == "platt" else _isotonic(p, y, w)


def restore(method: str, numbers: list[list[float]]) -> Calibrator | None:
    """The calibrator whose `method` and `numbers()` these are; None for "none"."""
    if method == "none":
        return None
    if method == "platt":
        return Platt(numbers[0][0], numbers[0][1])
    return Isotonic(np.array(numbers[0]), np.array(numbers[1]))


def _logit(p: np.ndarray) -> np.ndarray:
    q = np.clip(p, EDGE, 1.0 - EDGE)
    return np.log(q) - np.log1p(-q)


def logistic_line(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of a weighted one-variable logistic regression, by Newton's method, small ridge."""
    design = np.column_stack([np.ones(len(x)), x])
    beta = np.zeros(2)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30.0, 30.0)))
        hessian = (design * (w * p * (1.0 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        change = np.linalg.solve(hessian, design.T @ (w * (y - p)) - 1e-6 * beta)
        beta = beta + change
        if np.abs(change).max() < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _platt(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> Platt:
    # Platt's targets: as if one more row of each kind had been seen.
    ones, zeros = float(w @ y), float(w @ (1.0 - y))
    target = np.where(y > 0, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))
    intercept, slope = logistic_line(_logit(p), target, w)
    if slope > 0:
        return Platt(slope, intercept)
    # A model that ranks the wrong way round is not turned over: it then states the base rate.
    rate = float(w @ y / w.sum())
    return Platt(0.0, float(np.log(rate) - np.log1p(-rate)))


def _isotonic(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> Isotonic:
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(p[order]) > 0]))
    mass = np.add.reduceat(w[order], starts)
    hits = np.add.reduceat((w * y)[order], starts)
    place = np.add.reduceat((w * p)[order], starts)
    pools: list[list[float]] = []
    for m, h, q in zip(mass.tolist(), hits.tolist(), place.tolist(), strict=True):
        pools.append([m, h, q])
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    table = np.array(pools)
    rate = float(hits.sum() / mass.sum())
    return Isotonic(
        table[:, 2] / table[:, 0],
        np.maximum.accumulate((table[:, 1] + SMOOTHING * rate) / (table[:, 0] + SMOOTHING)),
    )

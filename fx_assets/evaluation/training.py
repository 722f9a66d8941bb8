"""Fitting a candidate the same way everywhere: in a fold, in a canary, and for the version that is registered.

Whatever is learned (bins, means, trees, seed members, the calibrator) sees the given rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation import calibration, estimators
from fx_assets.evaluation.estimators.xgb import xgboost_module
from fx_assets.evaluation.predictor import Predictor, average
from fx_assets.evaluation.purging import Fold
from fx_assets.evaluation.spec import StudySpec
from fx_assets.features.blocks import time_us

__all__ = [
    "Matrix",
    "fit_predictor",
    "fold_loss",
    "matrix",
    "matrix_columns",
    "moments",
    "out_of_fold",
    "predict_folds",
    "row_weights",
    "xgboost_module",
]

# The last rows that the members are first kept away from, so that a calibrator can be fitted on them.
CALIBRATION_SHARE = 0.2
# Distance between the seeds of an ensemble's members.
SEED_STEP = 1000
Progress = Callable[[str], None]
OnFit = Callable[[str, int, Predictor], None]


@dataclass(frozen=True)
class Matrix:
    """Training rows as arrays. x: float32 (n, features); y, w: float64 (n,); start, end: datetime64[us] (n,)."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def at(self, rows: np.ndarray) -> Matrix:
        return Matrix(self.x[rows], self.y[rows], self.w[rows], self.start[rows], self.end[rows])


def matrix_columns(frame: pd.DataFrame, feature_names: Sequence[str]) -> np.ndarray:
    """The features as float32 (n, features): what a served row has too. KeyError for an absent one."""
    return np.ascontiguousarray(frame[list(feature_names)].to_numpy(np.float32))


def row_weights(frame: pd.DataFrame) -> np.ndarray:
    """The weight column, or ones."""
    return frame["weight"].to_numpy(float) if "weight" in frame else np.ones(len(frame))


def matrix(rows: pd.DataFrame, spec: StudySpec) -> Matrix:
    """The rows as arrays, in their order."""
    return Matrix(
        matrix_columns(rows, spec.feature_names),
        rows["label"].to_numpy(float),
        row_weights(rows),
        moments(rows["decision_time"]),
        moments(rows["label_end"]),
    )


def moments(times: Any) -> np.ndarray:
    """Times as datetime64[us] UTC."""
    return time_us(times).view("datetime64[us]")


def fit_predictor(
    rows: pd.DataFrame, candidate: Mapping[str, Any], spec: StudySpec, seed: int | None = None
) -> Predictor:
    """Fit a candidate on every labelled row, as the study fitted it in each fold; equal input, equal bytes.

    rows: decision_time, label, label_end, optional weight, and the features. seed: of the first member, the spec's by
    default. Raises ValueError for rows that cannot be fitted (none, one class, too few for the calibrator).
    """
    known = rows.loc[rows["label"].notna()] if rows["label"].isna().any() else rows
    return _fit(matrix(known, spec), candidate, spec, spec.seed if seed is None else seed, {})


def out_of_fold(
    rows: pd.DataFrame,
    spec: StudySpec,
    candidates: Sequence[Mapping[str, Any]],
    folds: Sequence[Fold],
    seed: int | None = None,
    progress: Progress | None = None,
    on_fit: OnFit | None = None,
) -> dict[str, np.ndarray]:
    """Every candidate's predictions of all test rows, fold after fold, by candidate's name; see `predict_folds`.

    rows: decision_time, label (none missing), label_end, optional weight, and the spec's features.
    """
    found = predict_folds(matrix(rows, spec), spec, candidates, folds, seed, progress, on_fit)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def predict_folds(
    data: Matrix,
    spec: StudySpec,
    candidates: Sequence[Mapping[str, Any]],
    folds: Sequence[Fold],
    seed: int | None = None,
    progress: Progress | None = None,
    on_fit: OnFit | None = None,
    shared: dict | None = None,
) -> dict[str, list[np.ndarray]]:
    """Every candidate's predictions of every fold's test rows (`Predictor.predict`), by candidate's name.

    data: the rows that the folds' numbers point into. progress: called with one line for each fit; on_fit: called
    with the candidate's name, the fold's number and what was fitted. shared: keeps what is derived from features and
    weights alone for another call with the same ones, and the same folds; the labels may be others.
    """
    base = spec.seed if seed is None else seed
    out: dict[str, list[np.ndarray]] = {candidate["name"]: [] for candidate in candidates}
    for k, fold in enumerate(folds):
        train, tested = data.at(fold.train), data.x[fold.test]
        bins: dict = {} if shared is None else shared.setdefault(k, {})
        for candidate in candidates:
            predictor = _fit(train, candidate, spec, base, bins)
            p = predictor.predict(tested)
            out[candidate["name"]].append(p)
            if on_fit:
                on_fit(candidate["name"], k, predictor)
            if progress:
                loss = fold_loss(data.y[fold.test], p, spec.target)
                words = "log loss" if spec.target == "binary" else "squared error"
                where = f"fold {k + 1}/{len(folds)} {candidate['name']}"
                progress(f"{where}: {len(fold.train)} training rows, {words} {loss:.5g}")
    return out


def fold_loss(y: np.ndarray, p: np.ndarray, target: str) -> float:
    """What candidates are chosen by: mean log loss, or mean squared error for a real target."""
    if target == "real":
        return float(np.mean((y - p) ** 2))
    q = np.clip(np.asarray(p, float), 1e-15, 1.0 - 1e-15)
    return float(-np.mean(y * np.log(q) + (1.0 - y) * np.log1p(-q)))


def _fit(train: Matrix, candidate: Mapping[str, Any], spec: StudySpec, seed: int, shared: dict) -> Predictor:
    method = candidate.get("calibration", "none")
    calibrator = None
    if method != "none":
        if spec.target != "binary":
            raise ValueError(f"candidate {candidate['name']!r}: only probabilities can be calibrated, not a return.")
        calibrator = _calibrator(train, candidate, spec, seed, method, shared)
    members = _members(train, candidate, spec, seed, shared)
    scale = None
    if spec.target == "real":
        error = train.y - average(members, train.x)
        scale = float(np.sqrt(np.average(error**2, weights=train.w)))
    return Predictor(members, calibrator, tuple(spec.feature_names), spec.target, scale)


def _members(train: Matrix, candidate: Mapping[str, Any], spec: StudySpec, seed: int, shared: dict) -> tuple:
    return tuple(
        estimators.fit(
            candidate, train.x, train.y, train.w, seed + SEED_STEP * k, spec.nthread, spec.target, shared=shared
        )
        for k in range(int(candidate.get("seeds", 1)))
    )


def _calibrator(train: Matrix, candidate, spec: StudySpec, seed: int, method: str, shared: dict):
    """Fitted on the last rows, from members that saw only what was over `embargo` before them; those are dropped."""
    edge = np.sort(train.start)[int(len(train.start) * (1.0 - CALIBRATION_SHARE))]
    last = np.flatnonzero(train.start >= edge)
    before = np.flatnonzero((train.start < edge) & (train.end <= edge - spec.embargo))
    inner: dict = shared.setdefault("before the calibrator", {})
    members = _members(train.at(before), candidate, spec, seed, inner)
    rest = train.at(last)
    return calibration.fit(method, average(members, rest.x), rest.y, rest.w)

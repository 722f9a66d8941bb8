"""The rows of a study: checked, in order, as arrays; and what is asked of them for each candidate and fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fx_assets.evaluation import backtest, costs
from fx_assets.evaluation.positions import positions
from fx_assets.evaluation.predictor import Predictor, implied_probability
from fx_assets.evaluation.purging import Fold
from fx_assets.evaluation.spec import LABEL_KINDS, StudySpec
from fx_assets.evaluation.training import fold_loss, matrix, row_weights

REQUIRED = ("instrument", "time", "decision_time", "label", "label_end", "forward_return")
KEEP = ("instrument", "time", "decision_time", "label_end", "label", "forward_return", "fold")


def prepared(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """The rows with a label, by decision time and instrument. Raises ValueError as `study.evaluate` says."""
    needed = [*REQUIRED, *spec.feature_names, *(["side"] if spec.label_kind == "meta" else [])]
    if missing := [name for name in needed if name not in frame.columns]:
        raise ValueError(f"study frame: column(s) {', '.join(missing)} missing. Join labels and features first.")
    if spec.label_kind not in LABEL_KINDS:
        raise ValueError(f"label kind {spec.label_kind!r} is not one of {', '.join(LABEL_KINDS)}. Change models.yaml.")
    if not spec.candidates:
        raise ValueError("no candidates to study. Add at least one to the model in models.yaml.")
    rows = frame[frame["label"].notna() & frame["forward_return"].notna()]
    rows = rows.sort_values(["decision_time", "instrument"], kind="stable").reset_index(drop=True)
    if (repeated := int(rows.duplicated(["instrument", "decision_time"]).sum())) > 0:
        raise ValueError(f"{repeated} rows repeat an instrument and decision time. Remove the repeated rows.")
    known = set(spec.typical) | {cost.instrument for cost in spec.costs}
    if unknown := sorted(set(rows["instrument"].unique()) - known):
        raise ValueError(f"no half spread for {', '.join(unknown)}. State the typical spread in instruments.yaml.")
    return rows


class Tested:
    """A study's rows and what is asked of them again and again."""

    def __init__(self, rows: pd.DataFrame, spec: StudySpec, cuts: Sequence[Fold]):
        self.rows, self.spec, self.cuts = rows, spec, cuts
        self.data = matrix(rows, spec)
        self.y = (self.data.y > 0).astype(float) if spec.target == "real" else self.data.y
        self.w = row_weights(rows)
        self.binary = rows.assign(label=self.y)
        every = np.concatenate([fold.test for fold in cuts])
        self.tested, self._place = np.unique(every, return_inverse=True)
        self._times = np.bincount(self._place.ravel())
        number = np.full(len(rows), -1)
        for k, fold in reversed(list(enumerate(cuts))):
            number[fold.test] = k
        self.days = backtest.trading_day(self.data.start[self.tested])
        self.importance: dict[str, dict[int, float]] = {}
        self._scale: dict[tuple[str, int], float | None] = {}
        out = self.binary.iloc[self.tested].reset_index(drop=True).assign(fold=number[self.tested])
        self.side = _side(out, spec.label_kind)
        table = spec.costs_table()
        self.half = costs.for_rows(table, out, spec.typical)
        self.cost_source = costs.cost_source(table, out["instrument"].unique())
        self.out = out[list(KEEP)] if self.side is None else out[list(KEEP)].assign(side=self.side)

    def keep(self, name: str, fold: int, predictor: Predictor) -> None:
        """Called for each fit: its importance, and the error a forecast of returns leaves."""
        mine = self.importance.setdefault(name, {})
        for index, share in predictor.importance().items():
            mine[index] = mine.get(index, 0.0) + share / len(self.cuts)
        self._scale[name, fold] = predictor.scale

    def losses(self, parts: Sequence[np.ndarray]) -> list[float]:
        """A candidate's loss on each fold's test rows."""
        return [
            fold_loss(self.data.y[fold.test], p, self.spec.target) for fold, p in zip(self.cuts, parts, strict=True)
        ]

    def log_loss(self, parts: Sequence[np.ndarray]) -> float:
        """Mean over the folds of the log loss of probabilities."""
        pairs = zip(self.cuts, parts, strict=True)
        return float(np.mean([fold_loss(self.y[fold.test], p, "binary") for fold, p in pairs]))

    def probabilities(self, name: str, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """P(label = 1) of each fold's test rows."""
        if self.spec.target == "binary":
            return list(parts)
        return [implied_probability(p, self._scale[name, k]) for k, p in enumerate(parts)]

    def whole(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """One value for each tested row, in time order: the mean over the folds that test it."""
        return np.bincount(self._place.ravel(), weights=np.concatenate(parts)) / self._times

    def trade(self, p: np.ndarray) -> backtest.Run:
        """What acting on the probabilities would have earned."""
        kind = self.spec.label_kind
        return backtest.simulate(
            positions(kind, p, self.spec.threshold, side=self.side),
            self.out["forward_return"].to_numpy(float),
            self.half,
            self.data.start[self.tested],
            self.out["instrument"].to_numpy(str),
            end=self.data.end[self.tested],
            latency=self.spec.latency_bars,
            swap_per_day=self.spec.swap_per_day or 0.0,
        )


def _side(out: pd.DataFrame, kind: str) -> np.ndarray | None:
    """Which way a row is traded where the label does not say: the last move's, or the primary model's."""
    if kind == "meta":
        return out["side"].to_numpy(float)
    if kind != "large_move":
        return None
    return np.sign(np.nan_to_num(out["log_return_1"].to_numpy(float))) if "log_return_1" in out else np.zeros(len(out))

"""What chance alone does to a window of undrifted rows: the noise that drift must rise above.

Rows of a market follow one another slowly: a thousand hours of a slow feature are a handful of independent values, and
the population stability index of such a window is far above any published band although nothing has changed. So the
training sample itself is drawn from, in blocks of consecutive rows (the moving block bootstrap: Kuensch 1989), as many
rows as the window has, in blocks as long as the window's own rows hang together. What such windows reach by chance is
the limit, and it is set for all features together (the largest ratio of any: Westfall and Young 1993).

A second figure sees what the index of a slow feature cannot: how far a feature has moved from what the other features
let expect. It is the mean residual of a ridge regression on all others, in normal scores (ranks mapped to a normal
distribution), so in standard deviations of the feature. A market moves features together and leaves it near 0.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fx_monitoring.drift.psi import FLOOR, quantile_edges

Floats = NDArray[np.float64]

#: Rows of the reference that windows are drawn from, evenly spaced where it has more.
MAX_ROWS = 5_000
DRAWS = 2_000
FALSE_ALARMS = 0.004
#: Fixed, so that the same rows have the same limits.
SEED = 20_220_304
#: Ridge: so much of each feature's variance is added, and a feature made of others keeps a residual.
RIDGE = 0.02
#: Parts of the reference, in time, whose residuals come from a regression on the other parts.
FOLDS = 5
#: A feature whose steps are below this share of independent ones follows its own past, and shows where rows jump.
_SLOW = 0.3
#: Window sizes and block lengths are rounded to powers of this, to the safe side; what was drawn for one is kept.
_GRID = 1.25
_TYPICAL = 0.99
_LEAST_PSI, _LEAST_SHIFT = 0.005, 0.02
_CHUNK = 250
_KEPT = 4


@dataclass(frozen=True)
class Placement:
    """How the rows of a window lie: rows, in blocks of `block` consecutive rows of the reference each."""

    rows: int
    block: int


@dataclass(frozen=True)
class Noise:
    """Limits of one placement, a value a feature: the least index, the least shift (either sign) and the least missing
    share that are more than chance.
    """

    psi: Floats
    shift: Floats
    missing: Floats


class Chance:
    """A reference made ready to draw windows from. Its rows are in time order; `judged` features share the rate."""

    def __init__(
        self,
        reference: pd.DataFrame,
        features: Sequence[str],
        unjudged: Collection[str] = (),
        rate: float = FALSE_ALARMS,
        draws: int = DRAWS,
    ):
        self.features = list(features)
        self.judged = np.array([name not in unjudged for name in features])
        self.rate, self.draws = rate, draws
        values = _values(reference, features)
        values = values[:: -(-len(values) // MAX_ROWS)]
        self._edges = [quantile_edges(column) for column in values.T]
        self._sorted = [np.sort(column[np.isfinite(column)]) for column in values.T]
        scores = self._scores(values)
        self._centre, self._scale = scores.mean(axis=0), scores.std(axis=0)
        self._scale[self._scale < 1e-9] = 1.0
        scores = (scores - self._centre) / self._scale
        self._steps = _steps(scores)
        self._weights = _regression(scores)
        self._residuals = _out_of_fold(scores).astype(np.float32)
        self._bins, self._starts = self._one_hot(values)
        self._missing = (~np.isfinite(values)).astype(np.float32)
        self._drawn: dict[Placement, Noise] = {}
        self._lock = Lock()

    @property
    def rows(self) -> int:
        return len(self._bins)

    def window(self, current: pd.DataFrame) -> tuple[Placement, Floats]:
        """How a window of rows in time order lies, and each feature's shift (see the module)."""
        scores = (self._scores(_values(current, self.features)) - self._centre) / self._scale
        return self.placement(scores), scores.mean(axis=0) @ self._weights

    def placement(self, scores: Floats) -> Placement:
        """How a window lies, told by its values alone: times may have been made up, values cannot.

        The mean squared step from row to row, of the slow features, is that of the reference within a block and that
        of independent rows from one block to the next, which gives the blocks' mean length. Twice that is used: where
        lengths vary as waiting times do, that is the length of equal blocks with the same noise. Smaller steps than
        the reference's come of rows that lie denser in time: the window is one block of so many fewer of its rows.
        """
        rows = len(scores)
        slow = self._steps < _SLOW
        if rows < 3 or slow.sum() < 3:
            return Placement(_floor(rows), 1)
        steps = _steps(scores)
        density = float(np.median(steps[slow] / np.maximum(self._steps[slow], 1e-9)))
        jumps = float(np.median((steps[slow] - self._steps[slow]) / (1 - self._steps[slow])))
        if density < 0.75:
            span = _floor(max(int(rows * density), 30))
            return Placement(min(span, self.rows), min(span, self.rows))
        block = 2.0 / max(jumps, 2.0 / rows)
        return Placement(_floor(rows), int(min(_ceil(block), rows, self.rows)) if block > 2.5 else 1)

    def noise(self, placement: Placement) -> Noise:
        """The limits of a placement; drawn once."""
        with self._lock:
            if placement not in self._drawn:
                self._drawn[placement] = self._draw(placement)
            return self._drawn[placement]

    def _draw(self, placement: Placement) -> Noise:
        rng = np.random.default_rng(SEED)
        expected = np.maximum(self._bins.mean(axis=0, dtype=np.float64), FLOOR)
        psi, shift = [], []
        missing = np.zeros(len(self.features))
        for first in range(0, self.draws, _CHUNK):
            weights = _block_weights(self.rows, placement, min(_CHUNK, self.draws - first), rng)
            shares = np.maximum(weights @ self._bins, FLOOR).astype(np.float64)
            psi.append(np.add.reduceat((shares - expected) * np.log(shares / expected), self._starts, axis=1))
            shift.append(np.abs(weights @ self._residuals).astype(np.float64))
            missing = np.maximum(missing, (weights @ self._missing).max(axis=0))
        return Noise(
            self._limits(np.concatenate(psi), _LEAST_PSI), self._limits(np.concatenate(shift), _LEAST_SHIFT), missing
        )

    def _limits(self, drawn: Floats, least: float) -> Floats:
        """For each feature what it exceeds by chance as rarely as the others, and any of them in half the rate."""
        typical = np.maximum(np.quantile(drawn, _TYPICAL, axis=0), least)
        if not self.judged.any():
            return typical
        largest = (drawn[:, self.judged] / typical[self.judged]).max(axis=1)
        return typical * max(float(np.quantile(largest, 1 - self.rate / 2)), 1.0)

    def _scores(self, values: Floats) -> Floats:
        """Normal scores of values by their rank in the reference; what is missing has the middle rank."""
        from scipy.special import ndtri

        made = np.zeros(values.shape)
        for at, ordered in enumerate(self._sorted):
            column = values[:, at]
            there = np.isfinite(column)
            if len(ordered):
                ranks = np.searchsorted(ordered, column[there], "left") + np.searchsorted(
                    ordered, column[there], "right"
                )
                half = 0.5 / len(ordered)
                made[there, at] = ndtri(np.clip(ranks / (2 * len(ordered)), half, 1 - half))
        return made

    def _one_hot(self, values: Floats) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """A column a bin, 1 where a row's value falls into it; and each feature's first column."""
        sizes = [len(edges) + 2 for edges in self._edges]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        made = np.zeros((len(values), sum(sizes)), np.float32)
        rows = np.arange(len(values))
        for at, (edges, start) in enumerate(zip(self._edges, starts, strict=True)):
            column = values[:, at]
            bins = np.where(np.isfinite(column), np.searchsorted(edges, column, "right"), len(edges) + 1)
            made[rows, start + bins] = 1.0
        return made, starts


_prepared: OrderedDict[bytes, Chance] = OrderedDict()
_guard = Lock()


def prepared(
    reference: pd.DataFrame,
    features: Sequence[str],
    unjudged: Collection[str] = (),
    rate: float = FALSE_ALARMS,
    draws: int = DRAWS,
) -> Chance:
    """The Chance of a reference; the newest few are kept, by content, so that a model's windows share their draws."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((list(features), sorted(unjudged), rate, draws)).encode())
    digest.update(np.ascontiguousarray(_values(reference, features)).tobytes())
    key = digest.digest()
    with _guard:
        if key not in _prepared:
            _prepared[key] = Chance(reference, features, unjudged, rate, draws)
            while len(_prepared) > _KEPT:
                _prepared.popitem(last=False)
        _prepared.move_to_end(key)
        return _prepared[key]


def _values(frame: pd.DataFrame, features: Sequence[str]) -> Floats:
    columns = [frame[name].to_numpy(np.float64, na_value=np.nan) for name in features]
    return np.column_stack(columns) if columns else np.empty((len(frame), 0))


def _steps(scores: Floats) -> Floats:
    """Mean squared step from row to row over that of independent rows: 1 where rows say nothing about the next."""
    if len(scores) < 2:
        return np.ones(scores.shape[1])
    return np.mean(np.diff(scores, axis=0) ** 2, axis=0) / 2


def _regression(scores: Floats) -> Floats:
    """The matrix that turns standardised rows into residuals, each feature's from all others.

    By the inverse of the covariance C: the residual of feature j is (C^-1 x)_j / (C^-1)_jj.
    """
    covariance = scores.T @ scores / max(len(scores), 1)
    inverse = np.linalg.inv(covariance + RIDGE * np.eye(len(covariance)))
    return inverse / np.diag(inverse)


def _out_of_fold(scores: Floats) -> Floats:
    """Residuals of each part of the reference by a regression on the others, which new rows are like."""
    made = np.empty_like(scores)
    for part in np.array_split(np.arange(len(scores)), FOLDS):
        others = np.delete(scores, part, axis=0)
        if len(part) and len(others):
            made[part] = (scores[part] - others.mean(axis=0)) @ _regression(others - others.mean(axis=0))
    return made


def _block_weights(rows: int, placement: Placement, draws: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(draws, rows): what share of each drawn window every row of the reference is. Blocks go round the end."""
    block = min(placement.block, rows)
    count = max(1, round(placement.rows / block))
    starts = rng.integers(0, rows, (draws, count))
    change = np.zeros((draws, 2 * rows + 1), np.float32)
    at = np.repeat(np.arange(draws), count)
    np.add.at(change, (at, starts.ravel()), 1.0)
    np.add.at(change, (at, starts.ravel() + block), -1.0)
    times = np.cumsum(change, axis=1)[:, : 2 * rows]
    return (times[:, :rows] + times[:, rows:]) / np.float32(count * block)


def _floor(value: float) -> int:
    """The largest power of the grid that is not above a value."""
    return int(_GRID ** np.floor(np.log(max(value, 1)) / np.log(_GRID) + 1e-9))


def _ceil(value: float) -> int:
    """The smallest power of the grid that is not below a value."""
    return int(np.ceil(_GRID ** np.ceil(np.log(max(value, 1)) / np.log(_GRID) - 1e-9)))

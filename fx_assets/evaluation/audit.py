"""Are these folds honest? Asked of the very row numbers that were fitted on, however they came about.

Nothing here is shared with the code that makes the folds: a mistake in one is not repeated in the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fx_assets.evaluation.purging import Fold
from fx_assets.evaluation.splits import Validation
from fx_assets.features.blocks import time_us


def audit(rows: pd.DataFrame, cuts: Sequence[Fold], validation: Validation) -> list[str]:
    """`audit_folds` of a frame (decision_time, label_end) by what its model asks for."""
    start, end = (time_us(rows[name]).view("datetime64[us]") for name in ("decision_time", "label_end"))
    embargo = np.timedelta64(validation.embargo_minutes, "m")
    return audit_folds(start, end, cuts, embargo, validation.method, validation.held_out)


def audit_folds(
    decision_time: np.ndarray,
    label_end: np.ndarray,
    folds: Sequence[Fold],
    embargo: np.timedelta64,
    method: str = "walk_forward",
    held_out: int = 2,
) -> list[str]:
    """What is wrong with the folds, in words; empty when nothing is.

    decision_time, label_end: datetime64 (n,), which the folds' row numbers point into.
    In every fold: rows that exist, each once, some to train and some to test; no row in both; no label that trains
    within `embargo` of one that is tested; and as few unbroken test periods as the method has (one; of "combinatorial"
    up to `held_out`), so that no training row lies between test rows. "walk_forward" never trains on what was decided
    after its test began. Together: no row is tested twice, unless the method is "combinatorial".
    """
    start, end = np.asarray(decision_time), np.asarray(label_end)
    found = [] if folds else ["there are no folds"]
    for k, fold in enumerate(folds):
        told = _rows_of(fold, len(start))
        if not told:
            told = _leaks_of(start, end, fold, embargo, method, held_out if method == "combinatorial" else 1)
        found += [f"fold {k + 1} of {len(folds)}: {words}" for words in told]
    if not found and method != "combinatorial":
        _, times = np.unique(np.concatenate([fold.test for fold in folds]), return_counts=True)
        if repeated := int((times > 1).sum()):
            found.append(f"{repeated} rows are tested by more than one fold")
    return found


def _rows_of(fold: Fold, n: int) -> list[str]:
    """Row numbers that cannot be used as they are."""
    found = []
    for name, rows in (("training", fold.train), ("test", fold.test)):
        if not len(rows):
            found.append(f"there are no {name} rows")
        elif rows.min() < 0 or rows.max() >= n:
            found.append(f"{name} row numbers go from {rows.min()} to {rows.max()}, but there are {n} rows")
        elif len(np.unique(rows)) < len(rows):
            found.append(f"{len(rows) - len(np.unique(rows))} {name} rows are repeated")
    if not found and (both := len(np.intersect1d(fold.train, fold.test))):
        found.append(f"{both} rows are both trained on and tested")
    return found


def _leaks_of(
    start: np.ndarray, end: np.ndarray, fold: Fold, embargo: np.timedelta64, method: str, periods: int
) -> list[str]:
    found = []
    begin, over = start[fold.train], end[fold.train]
    tested = np.sort(start[fold.test])
    # Of the test rows decided before a training label (and the embargo) is over, all must have ended (and the embargo
    # too) before that training row was decided: as a label ends after its decision, comparing the two counts suffices.
    ahead = np.searchsorted(tested, over + embargo, side="left")
    done = np.searchsorted(np.sort(end[fold.test] + embargo), begin, side="right")
    if near := int((ahead > done).sum()):
        row = int(fold.train[np.argmax(ahead > done)])
        found.append(
            f"{near} training labels are not {_words(embargo)} away from every tested label "
            f"(row {row}: {start[row]} to {end[row]})"
        )
    # A test period is unbroken as long as no training row is decided within it.
    runs = len(np.unique(np.searchsorted(np.sort(begin), tested, side="right")))
    if runs > periods:
        found.append(f"training rows cut the test rows into {runs} periods, where there should be {periods}")
    if method == "walk_forward" and (later := int((begin >= tested[0]).sum())):
        found.append(f"{later} training rows are decided after the test begins at {tested[0]}")
    return found


def _words(span: np.timedelta64) -> str:
    return f"{span.astype('timedelta64[m]').astype(int)} minutes"

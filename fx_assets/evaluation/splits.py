"""Splitting rows into training and test sets without letting the test period into training."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from fx_assets.evaluation.combinatorial import combinatorial
from fx_assets.evaluation.purging import Fold, checked_times, purged, time_blocks
from fx_assets.features.blocks import time_us

__all__ = ["Fold", "Validation", "folds", "purged_kfold", "walk_forward"]

METHODS = ("walk_forward", "kfold", "combinatorial")


class Validation(Protocol):
    """What says how rows are split: the `validation` of a model in models.yaml has these, and more.

    folds: test blocks; of "combinatorial" the groups, of which every `held_out` are tested together.
    """

    @property
    def method(self) -> str: ...
    @property
    def folds(self) -> int: ...
    @property
    def embargo_minutes(self) -> int: ...
    @property
    def held_out(self) -> int: ...


def folds(rows: pd.DataFrame, validation: Validation) -> list[Fold]:
    """The folds of a frame by the method that its model names, as row positions.

    rows: decision_time and label_end, tz-aware UTC, none missing; any order, all instruments together.
    Raises ValueError for an unknown method, or where a fold would be left without training or test rows.
    """
    start, end = (time_us(rows[name]).view("datetime64[us]") for name in ("decision_time", "label_end"))
    embargo = np.timedelta64(validation.embargo_minutes, "m")
    if validation.method == "walk_forward":
        return walk_forward(start, end, validation.folds, embargo)
    if validation.method == "kfold":
        return purged_kfold(start, end, validation.folds, embargo)
    if validation.method == "combinatorial":
        return combinatorial(start, end, validation.folds, validation.held_out, embargo)
    raise ValueError(f"validation.method {validation.method!r} is not one of {' '.join(METHODS)}. Change models.yaml.")


def walk_forward(
    start: np.ndarray, end: np.ndarray, folds: int, embargo: np.timedelta64, min_train_share: float = 0.3
) -> list[Fold]:
    """Expanding-window folds, purged by label end and embargoed.

    start: datetime64 (n,), moment each row is decided on; end: datetime64 (n,), moment its label is known.
        Any row order, several instruments together. The first min_train_share of the rows is only ever
        trained on; the rest is cut in time into `folds` test blocks of about equal size, and no moment is in
        two blocks. A row trains fold k only if its label ended at least `embargo` before the first decision of
        test block k.
    Returns the folds in time order. Raises ValueError where a fold would be left without training or test
    rows.
    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 7 (purging and embargo).
    """
    if folds < 1 or not 0.0 < min_train_share < 1.0:
        raise ValueError(f"folds={folds}, min_train_share={min_train_share}: need folds >= 1 and 0 < share < 1.")
    start, end = checked_times(start, end)
    ordered = np.sort(start)
    shares = min_train_share + (1.0 - min_train_share) * np.arange(folds) / folds
    edges = ordered[(len(ordered) * shares).astype(np.int64)]
    result = []
    for k, edge in enumerate(edges):
        inside = start >= edge
        if k + 1 < folds:
            inside &= start < edges[k + 1]
        train = np.flatnonzero((end <= edge - embargo) & (start < edge))
        test = np.flatnonzero(inside)
        if not len(train) or not len(test):
            raise ValueError(
                f"fold {k + 1} of {folds} has {len(train)} training, {len(test)} test rows of {len(start)}. "
                "Use fewer folds, a shorter embargo or a longer training window."
            )
        result.append(Fold(train, test))
    return result


def purged_kfold(start: np.ndarray, end: np.ndarray, folds: int, embargo: np.timedelta64) -> list[Fold]:
    """K blocks in time, each tested once by what is trained on all others, purged and embargoed on both sides.

    start, end: as for walk_forward. Rows after a test block train for it: more rows than walk_forward has, but not
    what a desk could have known, so gates read walk_forward.
    Returns the folds in time order. Raises ValueError for fewer than two folds, or one without rows.
    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, section 7.4.
    """
    if folds < 2:
        raise ValueError(f"folds={folds}: K-fold needs at least 2. Raise validation.folds.")
    start, end = checked_times(start, end)
    block = time_blocks(start, folds)
    return [purged(start, end, block, (number,), embargo) for number in range(folds)]

"""Splitting rows into training and test sets without letting the test period into training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold, ascending int64 arrays."""

    train: np.ndarray
    test: np.ndarray


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
    start, end = np.asarray(start), np.asarray(end)
    if folds < 1 or not 0.0 < min_train_share < 1.0:
        raise ValueError(f"folds={folds}, min_train_share={min_train_share}: need folds >= 1 and 0 < share < 1.")
    if len(start) != len(end) or np.isnat(start).any() or np.isnat(end).any():
        raise ValueError("start and end must have the same length and no missing times. Drop unlabelled rows first.")
    if not len(start):
        raise ValueError("no rows to split. Widen the training window or check that labels exist.")
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

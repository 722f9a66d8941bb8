"""Combinatorial purged cross-validation: many whole-history backtests from one history, not one.

Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from fx_assets.evaluation.purging import Fold, checked_times, purged, time_blocks


def combinatorial(
    start: np.ndarray, end: np.ndarray, groups: int, held_out: int, embargo: np.timedelta64
) -> list[Fold]:
    """A fold for every way of testing `held_out` of `groups` blocks in time, trained on all others.

    start: datetime64 (n,), moment each row is decided on; end: datetime64 (n,), moment its label is known; any order.
    Training rows are purged and embargoed on both sides of each tested block.
    Returns C(groups, held_out) folds in the order of itertools.combinations. Raises ValueError for counts that leave
    nothing to train on or to test.
    """
    choices = _choices(groups, held_out)
    start, end = checked_times(start, end)
    block = time_blocks(start, groups)
    return [purged(start, end, block, tested, embargo) for tested in choices]


def paths(groups: int, held_out: int) -> np.ndarray:
    """Which fold predicts each group on each path, int64 (C(groups - 1, held_out - 1), groups).

    Every fold's prediction of every group it tests is on exactly one path: a group's folds are taken in their order.
    """
    choices = _choices(groups, held_out)
    of_group = [[k for k, tested in enumerate(choices) if group in tested] for group in range(groups)]
    return np.array(of_group, dtype=np.int64).T.copy()


def path_predictions(
    start: np.ndarray, cuts: Sequence[Fold], predictions: Sequence[np.ndarray], groups: int, held_out: int
) -> np.ndarray:
    """Predictions of the whole history on each path, float64 (paths, n).

    start: as it was given to `combinatorial`, which made the cuts. predictions: of each cut's test rows, in their
    order. Raises ValueError when they do not fit the cuts.
    """
    routes = paths(groups, held_out)
    if not len(cuts) == len(predictions) == int(routes.max()) + 1:
        raise ValueError(
            f"{len(cuts)} folds and {len(predictions)} predictions, but {held_out} of {groups} groups can be chosen in "
            f"{int(routes.max()) + 1} ways. Give those that combinatorial() made."
        )
    block = time_blocks(np.asarray(start), groups)
    found = np.full((len(routes), len(block)), np.nan)
    for k, (cut, values) in enumerate(zip(cuts, predictions, strict=True)):
        if len(values) != len(cut.test):
            raise ValueError(f"fold {k + 1} tests {len(cut.test)} rows and has {len(values)} predictions.")
        for path, group in np.argwhere(routes == k):
            inside = block[cut.test] == group
            found[path, cut.test[inside]] = np.asarray(values, float)[inside]
    return found


def _choices(groups: int, held_out: int) -> list[tuple[int, ...]]:
    if not 1 <= held_out < groups:
        raise ValueError(f"held_out={held_out} of {groups} groups: need at least 1, and fewer than there are groups.")
    return list(combinations(range(groups), held_out))

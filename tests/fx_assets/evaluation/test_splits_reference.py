"""Our folds beside those of purgedcv, an independent implementation: the same rows, for labels of any length."""

from itertools import combinations

import numpy as np
import pandas as pd
import purgedcv
import pytest

from fx_assets.evaluation.combinatorial import combinatorial, path_predictions
from fx_assets.evaluation.splits import purged_kfold, walk_forward

ROWS = 240  # divisible by every number of folds below: purgedcv counts rows where we count time
HOUR = np.timedelta64(1, "h")


def labels(seed: int, longest: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Decisions at uneven distances, a night and a weekend among them, with labels of 1 to `longest` hours."""
    random = np.random.default_rng(seed)
    steps = random.choice([1, 1, 1, 1, 2, 14, 62], ROWS)
    start = np.datetime64("2021-01-04", "us") + np.cumsum(steps) * HOUR
    return start, start + random.integers(1, longest, ROWS) * HOUR


def given(start: np.ndarray, end: np.ndarray, embargo: int) -> dict:
    # The gap is kept on both sides of a test block, which purgedcv calls the purge horizon, not the embargo.
    return {
        "prediction_times": pd.Series(start),
        "evaluation_times": pd.Series(end),
        "purge_horizon": pd.Timedelta(hours=embargo),
    }


def rows_of(cuts) -> list[tuple[list[int], list[int]]]:
    return [(cut.train.tolist(), cut.test.tolist()) for cut in cuts]


def theirs(splitter) -> list[tuple[list[int], list[int]]]:
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros((ROWS, 1)))]


@pytest.mark.parametrize("embargo", [0, 1, 7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_walk_forward_is_purgedcvs(seed, embargo):
    start, end = labels(seed)
    other = purgedcv.WalkForwardSplit(n_splits=6, test_size=24, **given(start, end, embargo))
    assert rows_of(walk_forward(start, end, 6, embargo * HOUR, min_train_share=0.4)) == theirs(other)


@pytest.mark.parametrize("embargo", [0, 1, 7])
@pytest.mark.parametrize(("seed", "folds"), [(1, 2), (2, 5), (3, 8)])
def test_kfold_is_purgedcvs(seed, folds, embargo):
    start, end = labels(seed)
    other = purgedcv.PurgedKFold(n_splits=folds, **given(start, end, embargo))
    assert rows_of(purged_kfold(start, end, folds, embargo * HOUR)) == theirs(other)


@pytest.mark.parametrize("embargo", [0, 1, 7])
@pytest.mark.parametrize(("seed", "groups", "held_out"), [(1, 6, 2), (2, 5, 3), (3, 8, 1)])
def test_combinatorial_folds_and_paths_are_purgedcvs(seed, groups, held_out, embargo):
    start, end = labels(seed)
    cuts = combinatorial(start, end, groups, held_out, embargo * HOUR)
    other = purgedcv.CombinatorialPurgedCV(n_splits=groups, n_test_groups=held_out, **given(start, end, embargo))
    assert rows_of(cuts) == theirs(other)
    assert len(cuts) == len(list(combinations(range(groups), held_out)))
    predictions = [np.random.default_rng([seed, k]).normal(size=len(cut.test)) for k, cut in enumerate(cuts)]
    expected = purgedcv.reconstruct_paths(predictions, [cut.test for cut in cuts], groups, held_out, ROWS)
    assert (path_predictions(start, cuts, predictions, groups, held_out) == expected).all()

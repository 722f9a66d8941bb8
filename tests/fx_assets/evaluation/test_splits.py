"""Purged walk-forward folds against a brute-force reading of the rules."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.evaluation.splits import walk_forward

T0 = np.datetime64("2021-01-04T00:00", "us")
HOUR = np.timedelta64(1, "h")


def check(start, end, folds, embargo, cuts) -> None:
    tested = np.concatenate([fold.test for fold in cuts])
    assert len(np.unique(tested)) == len(tested)
    for earlier, later in pairwise(cuts):
        assert start[earlier.test].max() < start[later.test].min()
        assert set(earlier.train) <= set(later.train)
    for fold in cuts:
        first = start[fold.test].min()
        allowed = [i for i in range(len(start)) if end[i] <= first - embargo and start[i] < first]
        assert fold.train.tolist() == allowed
        assert not set(fold.train) & set(fold.test)
    assert set(tested) == {i for i in range(len(start)) if start[i] >= start[cuts[0].test].min()}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(60, 200),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(1, 6),
    st.integers(1, 4),
    st.randoms(),
)
def test_rules_hold_for_any_rows(rows, folds, embargo, life, instruments, random):
    hours = [i // instruments for i in range(rows)]
    random.shuffle(hours)
    start = T0 + np.array(hours) * HOUR
    end = start + np.array([random.randint(1, life) for _ in range(rows)]) * HOUR
    gap = embargo * HOUR
    try:
        cuts = walk_forward(start, end, folds, gap)
    except ValueError:
        # Refused only where the rules leave a fold without rows: with one fold fewer rows are asked for.
        first = np.sort(start)[int(rows * 0.3)]
        assert folds > 1 or not (end <= first - gap).any()
        return
    assert len(cuts) == folds
    check(start, end, folds, gap, cuts)


def test_blocks_are_about_equal_and_the_same_every_time():
    start = np.repeat(T0 + np.arange(1000) * HOUR, 4)
    end = start + 2 * HOUR
    cuts = walk_forward(start, end, 6, 3 * HOUR)
    sizes = [len(fold.test) for fold in cuts]
    assert max(sizes) - min(sizes) <= 8
    assert sum(sizes) == pytest.approx(0.7 * 4000, abs=8)
    again = walk_forward(start, end, 6, 3 * HOUR)
    assert all((a.train == b.train).all() and (a.test == b.test).all() for a, b in zip(cuts, again, strict=True))


def test_a_label_that_ends_inside_the_embargo_does_not_train():
    start = T0 + np.arange(10) * HOUR
    cuts = walk_forward(start, start + HOUR, 1, 2 * HOUR, min_train_share=0.5)
    assert cuts[0].test.tolist() == [5, 6, 7, 8, 9]
    assert cuts[0].train.tolist() == [0, 1, 2]


def test_what_cannot_be_split_is_refused():
    start = T0 + np.arange(10) * HOUR
    with pytest.raises(ValueError, match="shorter embargo"):
        walk_forward(start, start + HOUR, 2, 100 * HOUR)
    with pytest.raises(ValueError, match="no rows"):
        walk_forward(start[:0], start[:0], 2, HOUR)
    with pytest.raises(ValueError, match="missing times"):
        walk_forward(start, np.full(10, np.datetime64("NaT")), 2, HOUR)
    with pytest.raises(ValueError, match="folds=0"):
        walk_forward(start, start + HOUR, 0, HOUR)

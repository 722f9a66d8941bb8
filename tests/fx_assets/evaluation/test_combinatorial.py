"""K-fold and combinatorial folds against the rules read row by row, on any rows."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.evaluation.combinatorial import combinatorial, path_predictions, paths
from fx_assets.evaluation.splits import purged_kfold

T0 = np.datetime64("2021-01-04T00:00", "us")
HOUR = np.timedelta64(1, "h")


def clear(start, end, cut, gap) -> list[int]:
    """Rows whose label's life, with the gap, touches that of no tested row."""
    return [
        i
        for i in range(len(start))
        if all(end[i] + gap <= start[j] or start[i] >= end[j] + gap for j in cut.test) and i not in set(cut.test)
    ]


@given(st.integers(40, 90), st.integers(2, 5), st.integers(0, 3), st.integers(1, 5), st.integers(1, 3), st.randoms())
def test_whoever_trains_is_clear_of_every_tested_row(rows, folds, embargo, life, instruments, random):
    hours = [i // instruments for i in range(rows)]
    random.shuffle(hours)
    start = T0 + np.array(hours) * HOUR
    end = start + np.array([random.randint(1, life) for _ in range(rows)]) * HOUR
    gap = embargo * HOUR
    if folds * (life + embargo) > rows // instruments // 2:
        return  # short blocks may leave nothing to train on: see what is refused, below
    cuts = purged_kfold(start, end, folds, gap)
    tested = np.concatenate([cut.test for cut in cuts])
    assert sorted(tested) == list(range(rows))
    for cut in cuts:
        allowed = clear(start, end, cut, gap)
        # A block is kept clear of as a whole: a row that ends up inside it, after a gap in time, trains nothing.
        inside = (start > start[cut.test].min()) & (start < end[cut.test].max())
        assert cut.train.tolist() == [i for i in allowed if not inside[i]]


def test_every_choice_of_groups_is_tested_once_and_kept_clear_of():
    start = T0 + np.repeat(np.arange(60), 2) * HOUR
    end = start + 3 * HOUR
    cuts = combinatorial(start, end, 5, 2, HOUR)
    assert len(cuts) == comb(5, 2)
    assert len({tuple(cut.test) for cut in cuts}) == len(cuts)
    for cut in cuts:
        assert len(cut.test) == 48
        assert cut.train.tolist() == clear(start, end, cut, HOUR)
    counts = np.bincount(np.concatenate([cut.test for cut in cuts]), minlength=120)
    assert set(counts) == {comb(4, 1)}


def test_paths_use_every_fold_of_every_group_once():
    for groups, held_out in ((6, 2), (5, 3), (4, 1)):
        routes = paths(groups, held_out)
        assert routes.shape == (comb(groups - 1, held_out - 1), groups)
        for group in range(groups):
            assert len(set(routes[:, group])) == len(routes)
    start = T0 + np.arange(60) * HOUR
    cuts = combinatorial(start, start + HOUR, 6, 2, 0 * HOUR)
    made = path_predictions(start, cuts, [np.full(len(cut.test), k) for k, cut in enumerate(cuts)], 6, 2)
    assert (made == np.repeat(paths(6, 2), 10, axis=1)).all()


def test_what_cannot_be_split_is_refused():
    start = T0 + np.arange(30) * HOUR
    end = start + HOUR
    with pytest.raises(ValueError, match="held_out=3 of 3 groups"):
        combinatorial(start, end, 3, 3, HOUR)
    with pytest.raises(ValueError, match="folds=1"):
        purged_kfold(start, end, 1, HOUR)
    with pytest.raises(ValueError, match="leaves no rows of 30 to train"):
        purged_kfold(start, end, 2, 100 * HOUR)
    with pytest.raises(ValueError, match="share a moment"):
        purged_kfold(start[:1].repeat(9), end[:1].repeat(9), 3, HOUR)
    cuts = combinatorial(start, end, 3, 1, HOUR)
    with pytest.raises(ValueError, match="3 folds and 2 predictions"):
        path_predictions(start, cuts, [np.zeros(10)] * 2, 3, 1)
    with pytest.raises(ValueError, match="fold 1 tests 10 rows and has 9"):
        path_predictions(start, cuts, [np.zeros(9), np.zeros(10), np.zeros(10)], 3, 1)

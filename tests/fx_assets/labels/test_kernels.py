"""The compiled loops against the same in plain Python, to the last bit."""

import numpy as np
import pytest

from fx_assets.labels.kernels import rows_apart, rows_counted, slot_medians, strided_mean
from tests.fx_assets.labels import plain


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(((left == right) | (np.isnan(left) & np.isnan(right))).all())


def series(seed: int, rows: int, slots: int, missing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """values with holes and repeats, their slots, the slots asked for, and times with gaps."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(rows) < missing, np.nan, rng.integers(0, 50, rows) * rng.random())
    time = np.cumsum(rng.integers(1, 4, rows) * 10)
    slot = (time // 10) % slots
    return values, slot, (slot + 1) % slots, time


@pytest.mark.parametrize("count", [1, 2, 3, 20])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_medians_by_time_of_day_equal_those_of_numpy(count, missing):
    values, slot, asked, time = series(count, 700, 7, missing)
    reach = 10 * 7 * count * 3
    of_asked, of_own = slot_medians(values, slot, asked, time, count, reach)
    rows = range(len(values))
    expected = [plain.slot_median(values, slot, asked[i], i, time, count, reach, True) for i in rows]
    before = [plain.slot_median(values, slot, slot[i], i, time, count, reach, False) for i in rows]
    assert same_bits(of_asked, np.array(expected))
    assert same_bits(of_own, np.array(before))
    assert np.isfinite(of_asked).sum() > 50


def test_a_median_over_too_long_a_time_is_missing():
    time = np.arange(10) * 100
    values, slot = np.arange(10.0), np.zeros(10, np.int64)
    near, _ = slot_medians(values, slot, slot, time, 3, 200)
    far, _ = slot_medians(values, slot, slot, time, 3, 199)
    assert near.tolist()[2:] == list(range(1, 9))
    assert np.isnan(far).all()


@pytest.mark.parametrize("stride", [1, 3, 60])
@pytest.mark.parametrize("rows", [1, 511, 512, 513, 1800])
def test_strided_means_add_in_the_same_order_whatever_is_side_by_side(stride, rows):
    values, _, _, time = series(rows, rows, 7, 0.3)
    weights = 0.9 ** np.arange(12)
    for reach in (10**9, 12 * stride * 20):
        made = strided_mean(values, weights, stride, time, reach)
        expected = [plain.strided_mean(values, weights, stride, i, time, reach) for i in range(rows)]
        assert same_bits(made, np.array(expected))


def test_rows_a_time_or_a_number_of_bars_apart():
    time = np.array([0, 10, 20, 40, 50, 100])
    assert rows_apart(time, 10).tolist() == [1, 2, -1, 4, -1, -1]
    assert rows_apart(time, -10).tolist() == [-1, 0, 1, -1, 3, -1]
    assert rows_apart(time[:0], 10).tolist() == []
    assert rows_counted(time, 2, 30).tolist() == [2, 3, 4, -1, -1, -1]
    assert rows_counted(time, -2, 30).tolist() == [-1, -1, 0, 1, 2, -1]
    assert rows_counted(time, 9, 1000).tolist() == [-1] * 6

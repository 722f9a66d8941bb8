"""Average uniqueness against counting, minute by minute."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.labels import uniqueness_weights


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 15)), min_size=1, max_size=25))
def test_equals_counting(lives):
    start = np.array([a for a, _ in lives])
    end = start + np.array([b for _, b in lives])
    alive = np.array([((start <= t) & (t < end)).sum() for t in range(100)])
    expected = [np.mean(1.0 / alive[a:b]) for a, b in zip(start, end, strict=True)]
    np.testing.assert_allclose(uniqueness_weights(start, end), expected, rtol=1e-12)


def test_times_and_the_plain_cases():
    start = np.datetime64("2021-01-04T00:00") + np.arange(5) * np.timedelta64(1, "h")
    assert uniqueness_weights(start, start + np.timedelta64(1, "h")).tolist() == [1.0] * 5
    overlapping = uniqueness_weights(start, start + np.timedelta64(2, "h"))
    assert overlapping.tolist() == [0.75, 0.5, 0.5, 0.5, 0.75]
    assert uniqueness_weights(start[:0], start[:0]).shape == (0,)


def test_a_label_without_a_life_is_refused():
    with pytest.raises(ValueError, match="label 1 does not end after its start"):
        uniqueness_weights(np.array([0, 5]), np.array([3, 5]))
    times = np.array(["2021-01-04", "2021-01-05"], "datetime64[us]")
    with pytest.raises(ValueError, match="label 0 does not end"):
        uniqueness_weights(times, np.array(["NaT", "2021-01-06"], "datetime64[us]"))

"""Sample weights against counting, moment by moment."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.labels import average_uniqueness, sample_weights, uniqueness_weights
from tests.fx_assets.labels import plain

LIVES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 15)), min_size=1, max_size=25)
HOUR_US = 3_600_000_000


def spans(lives: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    start = np.array([a for a, _ in lives])
    return start, start + np.array([b for _, b in lives])


@given(LIVES)
def test_equals_counting(lives):
    start, end = spans(lives)
    expected = plain.uniqueness(start, end)
    np.testing.assert_allclose(uniqueness_weights(start, end), expected, rtol=1e-12)
    np.testing.assert_allclose(average_uniqueness(start, end), expected, rtol=1e-12)
    hours = uniqueness_weights(start * HOUR_US, end * HOUR_US)
    np.testing.assert_allclose(hours, expected, rtol=1e-12)
    assert (hours <= 1.0).all()


@given(LIVES, st.integers(0, 2**40))
def test_bars_and_their_times_say_the_same_to_the_last_bit(lives, first_us):
    start, end = spans(lives)
    closes = first_us + np.arange(80) * HOUR_US
    by_bar = average_uniqueness(start, end, closes)
    assert by_bar.tolist() == uniqueness_weights(closes[start], closes[end]).tolist()


@given(LIVES, LIVES, st.integers(0, 1000))
def test_labels_that_do_not_overlap_do_not_matter_to_the_last_bit(lives, others, apart):
    start, end = spans(lives)
    earlier_start, earlier_end = spans(others)
    earlier_start, earlier_end = earlier_start - 80 - apart, earlier_end - 80 - apart
    alone = uniqueness_weights(start * HOUR_US, end * HOUR_US)
    both = uniqueness_weights(
        np.concatenate([earlier_start, start]) * HOUR_US, np.concatenate([earlier_end, end]) * HOUR_US
    )
    assert both[len(others) :].tolist() == alone.tolist()


def test_a_century_of_overlapping_labels_keeps_its_precision():
    start = np.arange(200_000) * 5 * HOUR_US
    weights = uniqueness_weights(start, start + 15 * HOUR_US)
    assert weights[2:-2] == pytest.approx(1 / 3, rel=1e-15)
    assert len(set(weights[2:-2].tolist())) == 1


def test_times_and_the_plain_cases():
    start = np.datetime64("2021-01-04T00:00") + np.arange(5) * np.timedelta64(1, "h")
    assert uniqueness_weights(start, start + np.timedelta64(1, "h")).tolist() == [1.0] * 5
    overlapping = uniqueness_weights(start, start + np.timedelta64(2, "h"))
    assert overlapping.tolist() == [0.75, 0.5, 0.5, 0.5, 0.75]
    assert uniqueness_weights(start[:0], start[:0]).shape == (0,)
    # In bars a weekend between two of them counts nothing; in time it does.
    first, last = np.array([0, 1]), np.array([2, 3])
    assert average_uniqueness(first, last).tolist() == [0.75, 0.75]
    assert average_uniqueness(first, last, np.array([0, 1, 50, 51])).tolist() == pytest.approx([0.51, 0.51])


def test_a_label_without_a_life_is_refused():
    with pytest.raises(ValueError, match="label 1 does not end after its start"):
        uniqueness_weights(np.array([0, 5]), np.array([3, 5]))
    with pytest.raises(ValueError, match="label 1 does not end after its start"):
        average_uniqueness(np.array([0, 5]), np.array([3, 5]))
    with pytest.raises(ValueError, match="begins at bar -1"):
        average_uniqueness(np.array([-1]), np.array([3]))
    with pytest.raises(ValueError, match="0 to 3 of 3 edges"):
        average_uniqueness(np.array([0]), np.array([3]), np.array([0, 1, 2]))
    times = np.array(["2021-01-04", "2021-01-05"], "datetime64[us]")
    with pytest.raises(ValueError, match="label 0 does not end"):
        uniqueness_weights(times, np.array(["NaT", "2021-01-06"], "datetime64[us]"))


def rows() -> pd.DataFrame:
    """Two instruments with the same decisions, one with labels that overlap; in no order."""
    time = pd.date_range("2021-03-01", periods=48, freq="1h", tz="UTC", unit="us")
    parts = [
        pd.DataFrame({"instrument": name, "decision_time": time, "label_end": time + pd.Timedelta(hours=hours)})
        for name, hours in (("GBP_USD", 1), ("USD_JPY", 4))
    ]
    return pd.concat(parts).sample(frac=1, random_state=3, ignore_index=True)


def test_instruments_are_weighed_apart():
    frame = rows()
    weights = sample_weights(frame)
    assert (weights[frame["instrument"] == "GBP_USD"] == 1.0).all()
    assert np.median(weights[frame["instrument"] == "USD_JPY"]) == 0.25


def test_weights_halve_with_every_half_life():
    frame = rows()
    plain_weights, decayed = sample_weights(frame), sample_weights(frame, half_life_days=1.0)
    age = (frame["decision_time"].max() - frame["decision_time"]) / pd.Timedelta(days=1)
    np.testing.assert_allclose(decayed, plain_weights * 0.5**age, rtol=1e-15)
    assert decayed.max() <= 1.0
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="not positive"):
            sample_weights(frame, half_life_days=bad)
    assert sample_weights(frame.head(0), 5.0).shape == (0,)

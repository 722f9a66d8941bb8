"""Positions by threshold and size, against rules read aloud."""

import numpy as np
import pytest

from fx_assets.evaluation.positions import positions, trailing_volatility

P = np.array([0.2, 0.44, 0.5, 0.56, 0.9, np.nan])


@pytest.mark.parametrize("kind", ["direction", "triple_barrier", "return"])
def test_a_side_is_taken_from_the_threshold_on(kind):
    assert positions(kind, P).tolist() == [-1, -1, 0, 1, 1, 0]
    assert positions(kind, P, 0.55).tolist() == [-1, -1, 0, 1, 1, 0]
    assert positions(kind, P, 0.56).tolist() == [-1, 0, 0, 0, 1, 0]
    assert positions(kind, P, 0.9).tolist() == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["large_move", "meta"])
def test_a_label_without_a_side_takes_the_given_one(kind):
    side = np.array([1, 1, 1, -0.003, np.nan, 1])
    assert positions(kind, P, side=side).tolist() == [0, 0, 0, -1, 0, 0]
    with pytest.raises(ValueError, match="does not say which way"):
        positions(kind, P)


def test_size_grows_with_confidence_on_both_sides():
    p = np.array([0.5, 0.6, 0.65, 0.7, 0.8, 0.99])
    sized = positions("direction", p, 0.6, sizing="confidence")
    assert sized == pytest.approx([0, 0, 0.25 + 0.75 / 4, 0.625, 1, 1])
    assert positions("direction", 1 - p, 0.6, sizing="confidence") == pytest.approx(-sized)


def test_size_falls_when_the_market_is_wilder_than_usual():
    now, usual = np.array([1.0, 2.0, 4.0, 0.0, np.nan, 1.0]), np.full(6, 2.0)
    sized = positions("direction", np.full(6, 0.7), sizing="volatility", volatility=now, usual=usual)
    assert sized.tolist() == [1, 1, 0.5, 0, 0, 1]
    with pytest.raises(ValueError, match="now and as usual"):
        positions("direction", P, sizing="volatility", volatility=now)


def test_volatility_knows_only_finished_returns():
    rng = np.random.default_rng(0)
    n, hour = 120, np.timedelta64(1, "h")
    time = np.datetime64("2021-01-04T00", "us") + np.arange(n) * hour
    life = np.where(np.arange(n) % 2, 2, 4)  # no two end at one moment, and each ends at a later row's decision
    forward, names = rng.normal(0, 1e-3, 2 * n), np.repeat(["A", "B"], n)
    times, ends = np.tile(time, 2), np.tile(time + life * hour, 2)
    order = rng.permutation(2 * n)
    found = np.empty(2 * n)
    found[order] = trailing_volatility(forward[order], ends[order], times[order], names[order], count=30)
    for row in range(2 * n):
        known = [k for k in range(2 * n) if names[k] == names[row] and ends[k] <= times[row]]
        known = sorted(known, key=lambda k: ends[k])[-30:]
        if len(known) < 20:
            assert np.isnan(found[row])
        else:
            assert found[row] == pytest.approx(np.sqrt(np.mean(forward[known] ** 2)))
    assert np.isfinite(found).sum() > n


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="sizing 'all'"):
        positions("direction", P, sizing="all")
    with pytest.raises(ValueError, match=r"threshold 1\.0 is outside"):
        positions("direction", P, 1.0)
    with pytest.raises(ValueError, match="label kind 'colour'"):
        positions("colour", P)

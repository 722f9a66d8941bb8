"""What the tests behind the gates promise, by exact computation and by seeded simulation."""

import math
import random

import numpy as np
import pytest

from fx_serving.controller.gates.quality import mean
from fx_serving.controller.gates.sequential import (
    RATE_FLOOR,
    alternative,
    likelihood_ratio,
    mixture_bound,
    rank_score,
    shifted_down,
    split_ratio,
    upper_rate,
)

ALPHA = 0.01
BOUND = -math.log(ALPHA)


def alarm_within(n: int, rate: float, against: float) -> float:
    """The exact probability that the test of `against` has raised its alarm within n requests, looked at after each."""
    alarms, now = 0.0, np.ones(1)
    for i in range(1, n + 1):
        after = np.zeros(len(now) + 1)
        after[:-1] += now * (1 - rate)
        after[1:] += now * rate
        over = [
            b for b in range(len(after)) if likelihood_ratio(b, i, against, alternative(against)) >= BOUND and after[b]
        ]
        alarms += float(after[over].sum())
        after[over] = 0
        keep = np.flatnonzero(after > 1e-15)
        now = after[: keep[-1] + 1] if len(keep) else np.zeros(1)
    return alarms


def test_exactly_how_often_the_error_gate_is_wrong():
    assert alarm_within(3000, 0.01, 0.01) == pytest.approx(0.0063, abs=1e-4)
    assert alarm_within(3000, 0.005, 0.01) == pytest.approx(0.00014, abs=1e-5)
    assert alarm_within(3000, 0.03, 0.03) <= ALPHA


def test_exactly_how_often_five_more_errors_in_a_hundred_are_caught_within_500_requests():
    assert alarm_within(500, 0.050, 0.01) == pytest.approx(0.9961, abs=1e-4)
    assert alarm_within(500, 0.055, 0.01) == pytest.approx(0.9990, abs=1e-4)
    assert alarm_within(500, 0.060, 0.01) >= 0.9997
    assert alarm_within(500, 0.051, RATE_FLOOR) >= 0.9999, "a limit of nought"


def test_the_alternative_is_no_more_than_three_points_away():
    assert alternative(0.01) == pytest.approx(0.04)
    assert alternative(0.001) == pytest.approx(0.004)
    assert alternative(0.2) == pytest.approx(0.23)


def test_how_failures_are_split_does_not_depend_on_how_many_there_are():
    """Both groups fail at the same rate, whatever it is: an alarm in at most one of a hundred, over all looks."""
    for seed, (rate, share) in enumerate(((0.03, 0.5), (0.2, 0.5), (0.03, 0.05))):
        source, alarms, runs, looks = np.random.default_rng(seed), 0, 600, 40
        groups = np.array([share, 1 - share])
        counts = source.multinomial(40, groups, size=(runs, looks))
        bad = source.binomial(counts, rate)
        n, b = counts.cumsum(1), bad.cumsum(1)
        for run in range(runs):
            alarms += any(
                split_ratio(b[run, k, 0], n[run, k, 0], b[run, k, 1], n[run, k, 1]) >= BOUND for k in range(looks)
            )
        assert alarms / runs <= ALPHA


def test_a_sum_around_nought_hardly_ever_crosses_its_bound():
    paths = np.random.default_rng(3).normal(size=(2000, 3000)).cumsum(1)
    bounds = np.array([mixture_bound(i + 1, ALPHA) for i in range(3000)])
    assert (np.abs(paths) > bounds).any(1).mean() <= ALPHA
    assert mixture_bound(500, ALPHA) / math.sqrt(500) < 4


def test_ranks_of_equal_times_never_alarm_and_doubled_ones_do():
    source, shift = np.random.default_rng(4), 4 * math.log2(1.5)
    times = np.exp(source.normal(size=(300, 500)) * 0.8)
    for factor, expected in ((1.0, 0.0), (2.0, 1.0)):
        caught = 0
        for run in range(300):
            mine = np.bincount(_bins(times[run] * factor), minlength=74)
            theirs = np.bincount(_bins(np.exp(source.normal(size=4000) * 0.8)), minlength=74)
            score = rank_score(shifted_down(mine.tolist(), shift), theirs.tolist())
            caught += score.alarm(ALPHA) >= 1
        assert caught / 300 == pytest.approx(expected, abs=0.01)


def _bins(times: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(np.log2(times * 20) * 4), 0, 73).astype(int)


def test_ranks_know_ties_and_nothing():
    assert rank_score([0, 5, 0], [0, 7, 0]).value == 0
    assert rank_score([0, 5, 0], [0, 7, 0]).variance == pytest.approx(0)
    assert rank_score([0, 0], [3, 4]).variance == 0
    assert rank_score([0, 0, 4], [4, 0, 0]).value == pytest.approx(2), "all above: the weight, n m / (n + m)"
    assert rank_score([4, 0, 0], [0, 0, 4]).value == pytest.approx(-2)


def test_bins_are_shifted_by_fractions_and_none_is_lost():
    moved = shifted_down([0, 0, 0, 10.0], 1.25)
    assert moved == pytest.approx([0, 2.5, 7.5, 0])
    assert shifted_down([4.0, 2.0], 3.5) == pytest.approx([6, 0])
    assert shifted_down([4.0, 2.0], 0) == [4, 2]


def test_wilson():
    assert upper_rate(0, 0, 2.33) == 1
    assert upper_rate(5, 100, 1.96) == pytest.approx(0.1118, abs=1e-4)
    assert upper_rate(0, 1000, 2.33) < 0.006


def test_the_mean_of_a_difference_is_held_within_reach_at_all_looks():
    source = random.Random(5)
    wrong = 0
    for _ in range(150):
        values = [source.choice((-1.0, 1.0)) for _ in range(400)]
        wrong += any(abs(found.value) > found.reach for found in (mean(values[:n], ALPHA) for n in range(20, 401, 20)))
    assert wrong / 150 <= ALPHA
    assert mean([0.3], ALPHA).reach == math.inf
    assert mean([0.0] * 50, ALPHA).reach == 0

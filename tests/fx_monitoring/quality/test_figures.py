"""Figures of live answers: known values, intervals that hold what they promise, blocks, weights, slope."""

import numpy as np
import pandas as pd
import pytest

from fx_monitoring.quality.figures import (
    MIN_BLOCKS,
    block_ids,
    ece_noise,
    measure,
    slope,
    student,
    weights,
    widened_ends,
)
from tests.counts import count
from tests.fx_monitoring.quality.answers import CALENDAR, answers, sessions


def test_figures_of_four_rows_by_hand():
    rows = (
        answers(sessions(1), symbols=("EUR_USD",))
        .iloc[:4]
        .assign(prediction=[0.9, 0.6, 0.4, 0.2], outcome=[1.0, 0.0, 1.0, 0.0])
    )
    found = measure(rows, 60)
    assert found["n"] == 4
    assert found["base_rate"] == 0.5
    assert found["mean_prediction"] == pytest.approx(0.525)
    assert found["accuracy"] == 0.5
    assert found["auc"] == 0.75
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.04) / 4)
    assert found["blocks"] < MIN_BLOCKS
    assert found["accuracy_low"] is None, "four hours are one block, which has no interval"


def test_nothing_gives_nothing_and_one_class_no_auc():
    assert measure(answers(sessions(1)).iloc[:0], 60) == {"n": 0, "n_effective": 0.0, "blocks": 0}
    found = measure(answers(sessions(2)).assign(outcome=1.0), 60)
    assert found["auc"] is None
    assert found["calibration_slope"] is None
    assert found["accuracy"] is not None


def test_a_session_is_a_block_only_where_there_are_enough_of_them():
    many, few = answers(sessions(20)), answers(sessions(5))
    assert len(np.unique(block_ids(many, 60))) == 20
    assert len(np.unique(block_ids(few, 60))) == 31, "four hours of the UTC day"
    assert len(np.unique(block_ids(few, 600))) <= 5 * 2, "two horizons"


def test_instruments_of_one_hour_share_a_block():
    rows = answers(sessions(5))
    blocks = pd.Series(block_ids(rows, 60)).groupby(rows["decision_time"].to_numpy()).nunique()
    assert (blocks == 1).all()


def test_overlapping_labels_weigh_less():
    apart = answers(sessions(1), symbols=("EUR_USD",))
    long = apart.assign(label_end=apart["decision_time"] + pd.Timedelta(hours=4))
    assert weights(apart, 60) == pytest.approx(np.ones(len(apart)))
    assert weights(long, 240)[10] == pytest.approx(0.25)
    told = apart.assign(label_end=apart["label_end"].mask(apart["outcome"].notna()))
    assert weights(told, 60) == pytest.approx(np.ones(len(apart))), "outcomes of feedback live one horizon"


def test_many_instruments_on_one_market_are_few_effective_rows():
    """Five instruments that always do the same tell as much as one."""
    one = answers(sessions(20), symbols=("EUR_USD",))
    five = pd.concat([one.assign(instrument=name) for name in "ABCDE"], ignore_index=True)
    alone, together = measure(one, 60), measure(five, 60)
    assert together["n"] == 5 * alone["n"]
    assert together["n_effective"] < 1.3 * alone["n_effective"]
    assert together["accuracy_low"] == pytest.approx(alone["accuracy_low"])


@pytest.mark.parametrize("length", [1, 5, 20])
def test_intervals_hold_the_truth_about_as_often_as_they_say(length):
    """Many windows, each interval asked for the expectation; three standard errors of the count are allowed."""
    truth = measure(answers(CALENDAR * 3, seed=99), 60)
    held = {"accuracy": 0, "brier": 0, "auc": 0}
    runs = count("quality_windows")
    for seed in range(runs):
        found = measure(answers(sessions(length), seed=seed), 60)
        for name in held:
            held[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
    least = 0.95 - 3 * (0.05 * 0.95 / runs) ** 0.5 - 0.01
    assert all(n >= least * runs for n in held.values()), held


def test_few_blocks_are_widened_by_students_t():
    assert student(5) == pytest.approx(2.5706, abs=1e-4)
    low, high = widened_ends({"value": 0.5, "low": 0.4, "high": 0.6}, 6)
    assert low is not None
    assert high is not None
    assert high - 0.5 == pytest.approx(0.1 * np.sqrt(6 / 5) * 2.5706 / 1.959964, rel=1e-4)
    assert low == pytest.approx(1 - high)
    assert widened_ends({"value": 0.5, "low": 0.4, "high": 0.6}, 5) == (None, None)


def test_the_slope_tells_bold_from_timid_answers():
    for bold in (0.5, 1.0, 2.0):
        rows = answers(sessions(40), seed=3, bold=bold)
        found = measure(rows, 60)
        assert found["calibration_slope_low"] < 1 / bold < found["calibration_slope_high"]
    bold = measure(answers(sessions(40), seed=3, bold=2.0), 60)
    assert bold["calibration_slope_high"] < 1
    assert bold["ece"] > 2 * bold["ece_noise"]


def test_the_slope_of_a_constant_forecast_is_not_computed():
    y, ones = np.array([0.0, 1.0] * 20), np.ones(40)
    assert slope(y, np.full(40, 0.5), ones, np.arange(40))["calibration_slope"] is None


def test_calibrated_answers_show_about_the_noise():
    found = [measure(answers(sessions(20), seed=seed), 60) for seed in range(20)]
    assert np.mean([f["ece"] for f in found]) == pytest.approx(np.mean([f["ece_noise"] for f in found]), rel=0.35)
    assert ece_noise(np.full(100, 0.5), np.ones(100), 100) == pytest.approx(np.sqrt(2 / np.pi) * 0.05)

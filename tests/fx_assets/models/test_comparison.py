"""Challenger beside champion: the same rows, a paired test by day, registered figures, and naive forecasts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fx_assets.evaluation.metrics import auc
from fx_assets.models.comparison import (
    MIN_COMMON_ROWS,
    compare_importance,
    paired_by_day,
    registered_figures,
    same_rows,
    versus_naive,
)

SINCE = pd.Timestamp("2021-02-01T22:00Z")


def out_of_fold(count: int = 2400, informed: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, count).astype(float)
    score = np.clip(0.5 + informed * 0.2 * (label - 0.5) + 0.1 * rng.standard_normal(count), 0.01, 0.99)
    time = pd.date_range("2021-01-04", periods=count, freq="1h", tz="UTC", unit="us")
    return pd.DataFrame({"instrument": "X", "decision_time": time, "label": label, "prediction": score})


def test_only_rows_after_the_champions_training_count():
    rows = out_of_fold()
    early = (rows["decision_time"] < SINCE).to_numpy()
    # A champion that knows its own past by heart and nothing after it.
    by_heart = np.where(early, rows["label"], np.random.default_rng(3).random(len(rows)))
    found = same_rows(rows, by_heart, SINCE)
    assert found["conclusive"]
    assert found["rows"] == int((~early).sum())
    later = rows[~early]
    exact = auc(later["label"].to_numpy(), later["prediction"].to_numpy())
    exact -= auc(later["label"].to_numpy(), by_heart[~early])
    assert found["auc"]["value"] == pytest.approx(exact)
    assert found["auc"]["low"] > 0
    assert found["loss"]["high"] < 0
    assert found["loss"]["p_value"] < 0.001


def test_equal_models_do_not_differ():
    rows = out_of_fold()
    found = same_rows(rows, rows["prediction"].to_numpy(), SINCE)
    assert found["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["loss"]["value"], found["loss"]["p_value"]) == (0.0, 1.0)


@pytest.mark.parametrize("spoil", ["few", "one class", "unknown"])
def test_what_cannot_be_compared_is_not_conclusive(spoil):
    rows = out_of_fold(800)
    scores = rows["prediction"].to_numpy(copy=True)
    since = rows["decision_time"].iloc[0]
    if spoil == "few":
        since = rows["decision_time"].iloc[-MIN_COMMON_ROWS + 1]
    if spoil == "one class":
        rows["label"] = 1.0
    if spoil == "unknown":
        scores[700] = np.nan
    found = same_rows(rows, scores, since)
    assert not found["conclusive"]
    assert np.isnan(found["auc"]["value"])
    assert np.isnan(found["loss"]["p_value"])


def test_with_one_row_a_day_the_paired_test_is_students():
    difference = np.random.default_rng(8).normal(0.02, 0.3, 9)
    found = paired_by_day(difference, np.ones(9), np.arange(9))
    expected: Any = stats.ttest_1samp(difference, 0.0)
    assert found["t"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_rows_of_one_day_are_one_observation():
    daily = np.random.default_rng(9).normal(0.05, 0.3, 200)
    alone = paired_by_day(daily, np.ones(200), np.arange(200))
    repeated = paired_by_day(np.repeat(daily, 24), np.ones(4800), np.repeat(np.arange(200), 24))
    for key in ("value", "low", "high", "p_value"):
        assert repeated[key] == pytest.approx(alone[key])


def test_a_difference_without_spread_is_certain():
    assert paired_by_day(np.full(10, 0.1), np.ones(10), np.arange(10))["p_value"] < 1e-12
    assert paired_by_day(np.zeros(10), np.ones(10), np.arange(10))["p_value"] == 1.0


def test_registered_figures_differ_by_both_intervals():
    def study(value: float) -> dict:
        figure = {"value": value, "low": value - 0.03, "high": value + 0.03}
        return {"auc": figure, "brier": figure, "backtest": {"sharpe_net": {**figure, "high": value + 0.05}}}

    found = registered_figures(study(0.60), study(0.58))
    assert found["auc"]["value"] == pytest.approx(0.02)
    assert found["auc"]["high"] == pytest.approx(0.02 + np.hypot(0.03, 0.03))
    assert found["sharpe_net"]["low"] == pytest.approx(0.02 - np.hypot(0.04, 0.04))
    assert (found["auc"]["before"], found["auc"]["after"]) == (0.58, 0.60)
    assert np.isnan(found["ece"]["value"])


def test_what_came_and_went_is_named():
    before = {"a": 0.5, "b": 0.3, "c": 0.2}
    found = compare_importance({"a": 0.6, "d": 0.4}, before)
    assert (found["came"], found["went"]) == (["d"], ["b", "c"])
    assert found["overlap"] == pytest.approx(1 / 3)


def test_naive_forecasts_are_beaten_by_what_the_model_knows():
    rows = out_of_fold().assign(zero_rule=0.5, same=lambda frame: frame["prediction"])
    found = versus_naive(rows, ["zero_rule", "same", "absent"])
    assert list(found) == ["zero_rule", "same"]
    assert found["zero_rule"]["value"] == pytest.approx(
        auc(rows["label"].to_numpy(), rows["prediction"].to_numpy()) - 0.5
    )
    assert found["same"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    heavy = versus_naive(rows.assign(weight=np.linspace(0.1, 1.0, len(rows))), ["zero_rule"])
    assert heavy["zero_rule"]["value"] != found["zero_rule"]["value"]

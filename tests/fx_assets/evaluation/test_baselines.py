"""Naive forecasts: what each of them says, and that none of them looks at the rows it is tested on."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation.baselines import SMOOTHING, baseline_predictions
from fx_assets.evaluation.metrics import auc
from tests.fx_assets.evaluation.worlds import world

TRAIN, TEST = np.arange(0, 3000), np.arange(3000, 5000)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Labels that follow the trailing volatility, in time order."""
    rows = world(0.3).sort_values(["decision_time", "instrument"], ignore_index=True)
    rng = np.random.default_rng(2)
    rows["persistence"] = rng.lognormal(0, 1, len(rows))
    chance = 1 / (1 + np.exp(-(np.log1p(rows["persistence"]) - 0.7)))
    return rows.assign(label=(rng.random(len(rows)) < chance).astype(float), weight=rng.uniform(0.2, 1, len(rows)))


@pytest.fixture(scope="module")
def told(frame):
    return baseline_predictions(frame, TRAIN, TEST)


def test_the_rank_of_volatility_orders_rows_as_volatility_itself(frame, told):
    y, raw = frame["label"].to_numpy()[TEST], frame["persistence"].to_numpy()[TEST]
    assert auc(y, told["persistence"]) == pytest.approx(auc(y, raw), abs=1e-3)
    assert auc(y, told["volatility_persistence"]) == pytest.approx(auc(y, raw), abs=1e-9)
    assert auc(y, raw) > 0.55
    assert told["persistence"].min() > 0
    assert told["persistence"].max() < 1
    assert told["persistence"].mean() == pytest.approx(0.5, abs=0.03)


def test_the_logistic_regression_is_calibrated_and_the_rank_is_not(frame, told):
    y = frame["label"].to_numpy()[TEST]
    assert told["volatility_persistence"].mean() == pytest.approx(y.mean(), abs=0.03)
    assert np.mean((told["volatility_persistence"] - y) ** 2) < np.mean((told["persistence"] - y) ** 2)


def test_frequencies_are_those_of_the_training_rows(frame, told):
    y, w = frame["label"].to_numpy()[TRAIN], frame["weight"].to_numpy()[TRAIN]
    rate = w @ y / w.sum()
    assert (told["zero_rule"] == rate).all()
    hour = frame["decision_time"].dt.tz_convert("America/New_York").dt.hour.to_numpy()
    seven = hour[TRAIN] == 7
    wanted = ((w * y)[seven].sum() + SMOOTHING * rate) / (w[seven].sum() + SMOOTHING)
    assert told["hour_of_day"][hour[TEST] == 7] == pytest.approx(wanted)
    rose = frame["log_return_1"].to_numpy() > 0
    wanted = ((w * y)[rose[TRAIN]].sum() + SMOOTHING * rate) / (w[rose[TRAIN]].sum() + SMOOTHING)
    assert told["last_sign"][rose[TEST]] == pytest.approx(wanted)


def test_tested_labels_are_not_looked_at(frame, told):
    label = frame["label"].to_numpy().copy()
    label[TEST] = 1 - label[TEST]
    again = baseline_predictions(frame.assign(label=label), TRAIN, TEST)
    assert all((again[name] == told[name]).all() for name in told)


def test_what_the_rows_do_not_have_is_not_stated(frame, told):
    few = baseline_predictions(frame.drop(columns=["persistence", "log_return_1"]), TRAIN, TEST)
    assert set(few) == {"zero_rule", "hour_of_day"}
    holes = frame.assign(persistence=frame["persistence"].where(frame.index % 7 > 0))
    stated = baseline_predictions(holes, TRAIN, TEST)
    missing = holes["persistence"].isna().to_numpy()[TEST]
    assert (stated["persistence"][missing] == 0.5).all()
    assert (stated["volatility_persistence"][missing] == told["zero_rule"][0]).all()

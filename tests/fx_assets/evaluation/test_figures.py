"""Figures of returns, of calibration and of seeds, against other implementations and by hand."""

import numpy as np
import pytest

from fx_assets.evaluation.figures import calibration_error, regression_report, spread
from fx_assets.evaluation.metrics import classification_report


def forecasts(rows: int = 3000, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_t(4, rows) * 1e-3
    return truth, 0.3 * truth + rng.normal(0, 3e-4, rows), rng.uniform(0.2, 1.0, rows), np.arange(rows) // 24


def test_figures_of_returns_agree_with_other_implementations():
    from scipy.stats import spearmanr
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    truth, forecast, w, days = forecasts()
    found = regression_report(truth, forecast, w, days, seed=0)
    assert found["rmse"]["value"] == pytest.approx(root_mean_squared_error(truth, forecast, sample_weight=w))
    assert found["mae"]["value"] == pytest.approx(mean_absolute_error(truth, forecast, sample_weight=w))
    assert found["r2"]["value"] == pytest.approx(1 - (w @ (truth - forecast) ** 2) / (w @ truth**2))
    assert found["rank_ic"]["value"] == pytest.approx(float(np.asarray(spearmanr(truth, forecast))[0]))
    for figure in found.values():
        assert figure["low"] < figure["value"] < figure["high"]


def test_a_forecast_of_noise_explains_nothing():
    truth, _, w, days = forecasts()
    found = regression_report(truth, np.random.default_rng(9).normal(0, 1e-3, len(truth)), w, days, seed=0)
    assert found["r2"]["high"] < 0
    assert found["rank_ic"]["low"] < 0 < found["rank_ic"]["high"]
    assert regression_report(truth, np.zeros(len(truth)), w, days, seed=0)["r2"]["value"] == 0.0


def test_the_calibration_error_of_a_fold_is_that_of_the_report():
    rng = np.random.default_rng(1)
    p = rng.random(4000)
    y = (rng.random(4000) < p**2).astype(float)
    assert calibration_error(y, p) == pytest.approx(classification_report(y, p)["ece"]["value"])
    assert calibration_error(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == 0.0


def test_the_spread_over_seeds():
    assert spread([0.5]) == {"mean": 0.5, "std": 0.0, "low": 0.5, "high": 0.5}
    told = spread([0.5, 0.7])
    assert told == pytest.approx({"mean": 0.6, "std": 0.1 * 2**0.5, "low": 0.5, "high": 0.7})

"""Figures against scikit-learn, and intervals against what they promise."""

import numpy as np
import pytest
from sklearn import metrics as sk

from fx_assets.evaluation.metrics import auc, auc_difference, classification_report


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    n = 4000
    p = np.round(rng.beta(3, 3, n), 2)  # rounded, so that there are ties
    return (rng.random(n) < p).astype(float), p, rng.uniform(0.2, 1.0, n), np.arange(n) // 40


def test_values_equal_scikit_learn(case):
    y, p, w, days = case
    report = classification_report(y, p, w, days)
    assert report["n"] == 4000
    assert report["auc"]["value"] == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w), abs=1e-12)
    assert report["brier"]["value"] == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w), abs=1e-12)
    assert report["log_loss"] == pytest.approx(sk.log_loss(y, np.clip(p, 1e-15, 1), sample_weight=w), abs=1e-9)
    assert report["accuracy"]["value"] == pytest.approx(sk.accuracy_score(y, p >= 0.5, sample_weight=w))
    assert report["base_rate"] == pytest.approx(np.average(y, weights=w))
    for name in ("auc", "brier", "accuracy"):
        assert report[name]["low"] < report[name]["value"] < report[name]["high"]


def test_calibration_error_by_hand():
    p = np.repeat([0.2, 0.8], 500)
    y = np.concatenate([np.arange(500) < 150, np.arange(500) < 350]).astype(float)  # 0.3 and 0.7 observed
    assert classification_report(y, p)["ece"]["value"] == pytest.approx(0.1)
    good = np.concatenate([np.arange(500) < 100, np.arange(500) < 400]).astype(float)
    assert classification_report(good, p)["ece"]["value"] == pytest.approx(0.0, abs=1e-12)


def test_intervals_contain_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        day = np.repeat(rng.normal(0, 1, 60), 20)  # outcomes of one day move together
        y = (day + rng.normal(0, 1, 1200) > 0).astype(float)
        figure = classification_report(y, np.full(1200, 0.6), blocks=np.arange(1200) // 20)["accuracy"]
        hits += figure["low"] <= 0.5 <= figure["high"]
    assert 50 <= hits <= 60


def test_dependence_within_a_day_lowers_the_effective_number(case):
    y, p, _, days = case
    independent = classification_report(y, p, None, days)["n_effective"]
    assert independent > 2500
    copied = np.repeat(np.arange(400), 10)
    same = classification_report(y[copied], p[copied], None, copied)
    assert same["n_effective"] == pytest.approx(400, rel=0.01)


def test_paired_difference(case):
    y, p, _, days = case
    noisy = np.clip(p + np.random.default_rng(1).normal(0, 0.3, len(p)), 0, 1)
    gap = auc_difference(y, p, noisy, days)
    assert gap["value"] == pytest.approx(sk.roc_auc_score(y, p) - sk.roc_auc_score(y, noisy))
    assert 0 < gap["low"] < gap["value"] < gap["high"]
    assert auc_difference(y, p, p, days) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_seeded():
    rng = np.random.default_rng(2)
    p = rng.random(37_000)
    y = (rng.random(37_000) < p).astype(float)
    days = np.arange(37_000) // 96
    first = classification_report(y, p, None, days)
    assert classification_report(y, p, None, days) == first


def test_one_class_and_bad_input():
    assert np.isnan(auc(np.ones(5), np.linspace(0, 1, 5)))
    report = classification_report(np.ones(5), np.full(5, 0.9))
    assert np.isnan(report["auc"]["value"])
    with pytest.raises(ValueError, match="finite"):
        classification_report(np.array([1.0, np.nan]), np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="need equal, > 0"):
        classification_report(np.empty(0), np.empty(0))

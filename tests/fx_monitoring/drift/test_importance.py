"""A champion that leans on other inputs than in training is seen, by contributions as a linear model has them."""

import numpy as np
import pandas as pd
import pytest

from fx_monitoring.drift.importance import importance_drift

NAMES = [f"feature_{number:02d}" for number in range(25)]
WEIGHTS = np.linspace(2.5, 0.1, 25)


def rows(number: int, seed: int, spread: np.ndarray | float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(number, 25)) * spread, columns=NAMES)


def linear(values: np.ndarray) -> np.ndarray:
    """Contributions of a linear model of features with mean 0: weight times value."""
    return values * WEIGHTS


def test_the_same_market_has_the_same_ranks():
    found = importance_drift(linear, rows(3_000, 1), rows(1_500, 2), NAMES)
    assert found is not None
    assert found["spearman"] > 0.95
    assert found["expected"] > 0.95
    assert found["overlap"] >= 0.9
    assert (found["rows"], found["training_rows"]) == (1_500, 3_000)


def test_another_market_leans_on_other_inputs_and_they_are_named_first():
    spread = np.ones(25)
    spread[[0, 20]] = 0.01, 40.0
    found = importance_drift(linear, rows(3_000, 1), rows(1_500, 2, spread), NAMES)
    assert found is not None
    assert found["spearman"] < 0.95
    assert [part["feature"] for part in found["features"][:2]] == ["feature_20", "feature_00"]
    assert found["features"][0]["recent"] > found["features"][0]["training"]
    inverted = importance_drift(linear, rows(3_000, 1), rows(1_500, 2, 1 / WEIGHTS**2), NAMES)
    assert inverted is not None
    assert inverted["spearman"] < 0


@pytest.mark.parametrize("recent", [0, 100])
def test_without_rows_or_contributions_there_is_no_figure(recent):
    assert importance_drift(lambda values: None, rows(100, 1), rows(recent, 2), NAMES) is None
    assert importance_drift(linear, rows(100, 1), rows(0, 2), NAMES) is None

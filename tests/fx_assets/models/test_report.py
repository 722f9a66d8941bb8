"""The evaluation in words, also where a figure could not be computed."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.models.report import (
    calibration,
    candidate_table,
    fold_table,
    honest_sentence,
    naive_rows,
    number,
    summary_table,
    table,
    with_interval,
)
from fx_assets.models.train import flat_numbers

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6}
NOTHING = {"value": None, "low": None, "high": None}
FOLD = {"fold": 1, "start": "2021-01-01T00:00", "end": "2021-02-01T00:00", "train_rows": 9, "test_rows": 8}
FIGURES = {
    **dict.fromkeys(("accuracy", "auc", "brier", "ece", "auc_vs_baseline"), INTERVAL),
    **{"n": 100, "n_effective": 80.0, "base_rate": 0.5, "baseline": "zero_rule", "trials": 1},
    "worst_fold": {"auc": 0.51},
    "folds": [{**FOLD, "auc": 0.51, "baseline_auc": 0.5, "brier": None}],
    # What a record holds of a study with one candidate and no trades: NaN is null in JSON.
    **{"dsr": None, "pbo": float("nan")},
    "backtest": {"sharpe_gross": NOTHING, "sharpe_net": NOTHING, "max_drawdown": 0.0, "win_rate": None}
    | {"trades": 0, "turnover": 0.0},
}


def test_figures_that_could_not_be_computed_are_said_to_be_so():
    table = summary_table(FIGURES)
    assert "| auc | 0.5000 [0.4000, 0.6000] |" in table
    assert "| win rate | not computable |" in table
    assert "| probability of backtest overfitting | not computable |" in table
    assert "| Sharpe gross | not computable |" in table
    assert fold_table(FIGURES).endswith("| 9 | 8 | 0.5100 | 0.5000 | not computable |")
    assert number(0.123456, ".2%") == "12.35%"


def test_calibration_has_bins_of_equal_count():
    stated = np.repeat([0.2, 0.8], 50)
    frame = pd.DataFrame({"prediction": stated, "label": np.tile([1.0, 0, 0, 0, 0], 20)})
    curve = calibration(frame)
    assert curve["rows"].tolist() == [10] * 10
    assert curve["predicted"].round(9).tolist() == [0.2] * 5 + [0.8] * 5
    assert np.isclose(curve["observed"], 0.2).all()


def test_metrics_are_flat_numbers_and_nothing_else():
    figures = {"auc": INTERVAL, "dsr": float("nan"), "folds": [1], "chosen": "x", "n": 3}
    assert dict(flat_numbers(figures)) == {"auc.value": 0.5, "auc.low": 0.4, "auc.high": 0.6, "n": 3.0}


def test_the_chosen_candidate_is_marked_among_all():
    trial = {"name": "a", "algorithm": "lightgbm", "log_loss": 0.69, "auc": 0.55, "sharpe_net": None}
    shown = candidate_table({"chosen": "b", "candidates": [trial, {**trial, "name": "b", "auc": None}]}).splitlines()
    assert shown[2] == "| a | lightgbm | 0.69000 | 0.5500 | not computable |"
    assert shown[3].startswith("| **b** | lightgbm | 0.69000 | not computable |")


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a",), [["x|y"]]).splitlines()[-1] == "| x\\|y |"


def test_values_without_an_interval_stand_alone():
    assert with_interval({"value": 0.5, "low": None, "high": None}) == "0.5000"
    assert with_interval(INTERVAL, "+.2f") == "+0.50 [+0.40, +0.60]"


def above(low: float | None, value: float = 0.04) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": 0.06}


@pytest.mark.parametrize(
    ("raw", "logistic", "sentence"),
    [
        (
            0.031,
            0.0123,
            "It beats volatility persistence and a logistic regression on volatility persistence by at least 0.01 AUC "
            "at the lower 95 % bound (+0.0310 and +0.0123).",
        ),
        (
            0.031,
            0.0099,
            "It does not beat a logistic regression on volatility persistence by 0.01 AUC at the lower 95 % bound, "
            "which is +0.0099.",
        ),
        (
            -0.02,
            None,
            "It does not beat volatility persistence or a logistic regression on volatility persistence by 0.01 AUC at "
            "the lower 95 % bound, which is -0.0200 over volatility persistence, not computable over a logistic "
            "regression on volatility persistence.",
        ),
    ],
)
def test_the_advantage_over_persistence_is_said_either_way(raw, logistic, sentence):
    naive = {"zero_rule": above(0.1), "persistence": above(raw), "volatility_persistence": above(logistic)}
    assert honest_sentence(naive) == sentence


def test_without_persistence_the_strongest_naive_forecast_counts():
    naive = {"zero_rule": above(0.02, 0.05), "hour_of_day": above(0.001, 0.01)}
    assert honest_sentence(naive) == (
        "It does not beat the naive forecast hour_of_day by 0.01 AUC at the lower 95 % bound, which is +0.0010."
    )
    assert honest_sentence({}).startswith("It cannot be said")


def test_naive_forecasts_stand_beside_what_the_model_adds():
    figures = {"baselines": {"zero_rule": {"auc": 0.5, "brier": 0.25}, "odd": {"auc": None, "brier": 0.3}}}
    head, rows = naive_rows(figures, {"zero_rule": above(0.02)})
    assert head[-1] == "model's AUC above it"
    assert rows == [
        ["zero_rule", "0.5000", "0.2500", "+0.0400 [+0.0200, +0.0600]"],
        ["odd", "not computable", "0.3000", ""],
    ]

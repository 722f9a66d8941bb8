"""The evaluation in words, also where a figure could not be computed."""

import numpy as np
import pandas as pd

from fx_assets.models.report import calibration, fold_table, number, summary_table
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
    assert "| Sharpe gross | not computable [not computable, not computable] |" in table
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

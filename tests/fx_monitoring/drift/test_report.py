"""Figures, which of them count, instruments, predictions, and the chart."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_monitoring.drift.plot import plot_psi
from fx_monitoring.drift.report import by_instrument, drift_figures, explaining

FEATURES = ["rsi_14", "atr_14", "sentiment"]


def frame(rows: int, *, shift: float = 0.0, seed: int = 5) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(rows, len(FEATURES)))
    values[:, 1] += shift
    return pd.DataFrame(values, columns=FEATURES)


def test_the_worst_feature_decides_and_comes_first():
    report = drift_figures(frame(4_000), frame(1_000, shift=1.0, seed=6), FEATURES)
    assert report.level == "critical"
    assert report.features[0].feature == "atr_14"
    assert report.max_psi == report.features[0].psi > 0.25
    assert [f.psi for f in report.features] == sorted((f.psi for f in report.features), reverse=True)
    assert {f.feature: f.level for f in report.features} == {
        "atr_14": "critical",
        "rsi_14": "none",
        "sentiment": "none",
    }
    assert report.table()["feature"].iloc[0] == "atr_14"


def test_equal_distributions_are_no_drift():
    report = drift_figures(frame(4_000), frame(1_000, seed=6), FEATURES)
    assert report.level == "none"
    assert report.rows == 1_000
    assert report.reference_rows == 4_000


def test_too_few_rows_are_inconclusive_and_name_no_worst_value():
    report = drift_figures(frame(4_000), frame(499, shift=3.0), FEATURES)
    assert report.level == "inconclusive"
    assert report.max_psi is None
    assert {f.level for f in report.features} == {"inconclusive"}
    assert report.features[0].psi > 1
    assert drift_figures(frame(4_000), frame(500, shift=3.0), FEATURES).level == "critical"
    assert drift_figures(frame(499), frame(500), FEATURES).level == "inconclusive"


def test_repeated_requests_do_not_make_rows():
    many = pd.concat([frame(499, shift=3.0)] * 10)
    report = drift_figures(frame(4_000), many, FEATURES)
    assert report.rows == 499
    assert report.level == "inconclusive"


def test_request_volume_on_one_bar_is_not_drift():
    """Ten thousand requests about one unusual bar weigh as much as one."""
    current = frame(1_000, seed=6)
    busy = pd.concat([current, pd.DataFrame([[9.0, 9.0, 9.0]] * 10_000, columns=FEATURES)])
    assert drift_figures(frame(4_000), busy, FEATURES).level == "none"


def test_a_prediction_log_frame_is_read_by_its_prefixed_columns():
    logged = frame(800, shift=2.0, seed=6).add_prefix("f_").assign(model="move_60m")
    report = drift_figures(frame(4_000), logged, FEATURES)
    assert report.level == "critical"


def test_no_predictions_at_all_is_a_report_not_an_error():
    report = drift_figures(frame(4_000), pd.DataFrame(), FEATURES)
    assert (report.rows, report.level, report.max_psi, report.features) == (0, "inconclusive", None, ())


def test_no_features_says_where_to_take_them_from():
    with pytest.raises(DataError, match="manifest"):
        drift_figures(frame(10), frame(10), [])


@pytest.mark.parametrize("rows", [0, 1_000])
def test_chart_is_a_png_even_of_an_empty_report(rows):
    current = frame(rows, shift=1.0, seed=6)
    picture = plot_psi(drift_figures(frame(4_000), current, FEATURES))
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) > 5_000


def test_a_band_counts_only_above_what_chance_makes_of_it():
    """A slow feature: 40 values, each for 50 rows; a window of two of them has a large index, and no drift."""
    rng = np.random.default_rng(9)
    slow = np.repeat(rng.normal(size=80), 50)
    reference = frame(4_000) / 100
    reference = reference.add(slow, axis=0)
    report = drift_figures(reference, reference.iloc[:1_000], FEATURES)
    assert all(feature.band == "critical" for feature in report.features)
    assert (report.level, report.value) == ("none", 0.0)


def test_a_feature_that_leaves_the_others_counts_even_where_its_index_is_chance():
    rng = np.random.default_rng(10)
    slow = np.repeat(rng.normal(size=80), 50)
    reference = (frame(4_000) / 100).add(slow, axis=0)
    window = reference.iloc[:1_000].assign(rsi_14=lambda rows: rows["rsi_14"] + 0.6)
    found = {feature.feature: feature for feature in drift_figures(reference, window, FEATURES).features}
    assert found["rsi_14"].shift > 0.5
    assert found["rsi_14"].level in ("moderate", "critical")
    assert abs(found["rsi_14"].shift) > found["rsi_14"].shift_noise


def test_every_instrument_is_held_against_its_own_rows():
    symbols = np.tile(["GBP_USD", "USD_JPY", "AUD_USD"], 2_000)
    reference = frame(6_000).assign(instrument=symbols)
    current = frame(3_000, seed=6).assign(instrument=symbols[:3_000])
    current.loc[current["instrument"] == "USD_JPY", "atr_14"] += 2.0
    found = by_instrument(reference, current, FEATURES, 200)
    assert {symbol: drift.level for symbol, drift in found.items()} == {
        "AUD_USD": "none",
        "GBP_USD": "none",
        "USD_JPY": "critical",
    }
    assert found["USD_JPY"].rows == 1_000
    few = by_instrument(reference, current.iloc[:90], FEATURES, 200)
    assert {drift.level for drift in few.values()} == {"inconclusive"}
    assert by_instrument(reference, current.drop(columns="instrument"), FEATURES, 200) == {}


def test_the_answers_are_compared_where_the_reference_has_them():
    rng = np.random.default_rng(11)
    reference = frame(4_000).assign(prediction=rng.beta(4, 4, 4_000))
    same = drift_figures(reference, frame(1_000, seed=6).assign(prediction=rng.beta(4, 4, 1_000)), FEATURES)
    assert same.prediction is not None
    assert (same.prediction.level, same.prediction.kl < 0.05) == ("none", True)
    sure = drift_figures(reference, frame(1_000, seed=6).assign(prediction=rng.beta(8, 3, 1_000)), FEATURES)
    assert sure.prediction is not None
    assert sure.prediction.kl > 0.1
    assert sure.prediction.level == "critical"
    assert drift_figures(frame(4_000), frame(1_000, seed=6), FEATURES).prediction is None


def test_quiet_features_explain_nothing():
    reference = frame(4_000)
    assert explaining(drift_figures(reference, frame(1_000, seed=6), FEATURES), reference) == []

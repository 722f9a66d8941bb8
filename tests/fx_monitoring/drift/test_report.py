"""Figures, verdicts, the status file's format, and the chart."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_monitoring.drift.report import DriftReport, drift_figures, plot_psi, write_status

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


def test_status_file_has_the_shared_format(tmp_path):
    report = drift_figures(frame(4_000), frame(1_000, shift=1.0, seed=6), FEATURES)
    path = tmp_path / "monitoring" / "drift" / "move_60m.json"
    written = write_status(path, report, "move_60m", "3", "2022-03-04")
    status = json.loads(path.read_bytes())
    assert status == written
    assert list(path.parent.iterdir()) == [path]
    assert status["format"] == 1
    assert (status["model"], status["version"], status["session"]) == ("move_60m", "3", "2022-03-04")
    assert status["level"] == "critical"
    assert status["rows"] == 1_000
    assert status["max_psi"] == report.max_psi
    assert status["report_id"] == "move_60m-3-2022-03-04"
    assert status["thresholds"]["critical"] == 0.25
    assert "10 quantile bins" in status["method"]
    assert status["features"]["atr_14"] == {"psi": report.max_psi, "level": "critical"}
    assert datetime.fromisoformat(status["computed_at"]).utcoffset() is not None


def test_status_is_replaced_and_bears_no_numbers_json_cannot(tmp_path):
    path = tmp_path / "move_60m.json"
    path.write_text("old")
    empty = DriftReport(0, 10, 500, "inconclusive", None, ())
    at = datetime(2022, 3, 4, 22, tzinfo=UTC)
    write_status(path, empty, "move_60m", "3", "2022-03-04", report_id="r1", computed_at=at)
    status = json.loads(path.read_bytes())
    assert status["max_psi"] is None
    assert status["report_id"] == "r1"
    assert status["computed_at"] == "2022-03-04T22:00:00+00:00"


@pytest.mark.parametrize("rows", [0, 1_000])
def test_chart_is_a_png_even_of_an_empty_report(rows):
    current = frame(rows, shift=1.0, seed=6)
    picture = plot_psi(drift_figures(frame(4_000), current, FEATURES))
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) > 5_000

"""The prediction log as a frame, from files in the shared format."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError, StoreError
from fx_monitoring.drift.predictions import distinct_inputs, predictions_frame

START = datetime(2022, 3, 4, 10, tzinfo=UTC)
COLUMNS = ["prediction_id", "instrument", "timestamp", "model", "version", "slot", "prediction", "label"]
COLUMNS += ["feature_time", "latency_us", "overridden"]
OUTCOMES = ["realized_direction", "realized_value", "feedback_at"]


def prediction(number: int, **changes) -> dict:
    at = START + timedelta(hours=number)
    return {
        "kind": "prediction",
        "prediction_id": f"p{number}",
        "request_id": None,
        "logged_at": (at + timedelta(seconds=1)).isoformat(),
        "timestamp": at.isoformat(),
        "instrument": "GBP_USD",
        "model": "move_60m",
        "version": "3",
        "slot": "blue",
        "fell_back": False,
        "prediction": 0.5 + number / 100,
        "label": "move",
        "features": {"rsi_14": float(number), "atr_14": 0.5},
        "overridden": [],
        "feature_time": at.isoformat(),
        "feature_age_s": 0.0,
        "latency_us": 120.0,
        "rollout_id": None,
        "key": None,
        **changes,
    }


def feedback(number: int, received_minutes: int, **changes) -> dict:
    return {
        "kind": "feedback",
        "feedback_id": f"f{received_minutes}",
        "received_at": (START + timedelta(days=1, minutes=received_minutes)).isoformat(),
        "prediction_id": None,
        "instrument": "GBP_USD",
        "timestamp": (START + timedelta(hours=number)).isoformat(),
        "model": None,
        "realized_direction": 1,
        "realized_value": 0.001,
        **changes,
    }


def write(path, records, tail: str = "") -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)


def test_bare_rows_of_numbers_are_left_out(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(0), prediction(1, instrument="", route="v2")])
    (tmp_path / "shadow-w1-000001.ndjson").write_text('{"kind":"shadow"}\n')
    assert list(predictions_frame(tmp_path)["prediction_id"]) == ["p0"]


def test_ingested_predictions_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "predictions.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"predictions\.db: cannot be read"):
        predictions_frame(tmp_path)


def test_one_row_per_prediction_in_time_order_with_features_as_columns(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(2), prediction(0)], tail='{"kind":"predic')
    late = prediction(1, features={"rsi_14": 1.0, "extra": 7.0}, overridden=["extra"], feature_time=None)
    write(tmp_path / "w2-000001.ndjson", [late, prediction(2)])
    frame = predictions_frame(tmp_path)
    assert list(frame["prediction_id"]) == ["p0", "p1", "p2"]
    assert set(frame.columns) == {*COLUMNS, *OUTCOMES, "f_rsi_14", "f_atr_14", "f_extra"}
    assert list(frame["f_rsi_14"]) == [0.0, 1.0, 2.0]
    assert list(frame["overridden"]) == [0, 1, 0]
    assert np.isnan(frame["f_extra"][0])
    assert frame["feature_time"].isna().tolist() == [False, True, False]
    assert frame["timestamp"].dtype == "datetime64[us, UTC]"
    assert frame["timestamp"][1] == START + timedelta(hours=1)
    assert frame[OUTCOMES].isna().all(axis=None)


def test_the_span_is_half_open_on_decision_time(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(i) for i in range(5)])
    frame = predictions_frame(tmp_path, START + timedelta(hours=1), START + timedelta(hours=3))
    assert list(frame["prediction_id"]) == ["p1", "p2"]


@pytest.mark.parametrize("exists", [True, False])
def test_no_log_gives_no_rows_but_every_column(tmp_path, exists):
    directory = tmp_path if exists else tmp_path / "none"
    frame = predictions_frame(directory)
    assert len(frame) == 0
    assert list(frame.columns) == [*COLUMNS, *OUTCOMES]
    assert frame["timestamp"].dtype == "datetime64[us, UTC]"


def test_feedback_joins_by_id_then_by_instrument_and_time(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(i) for i in range(4)])
    write(
        tmp_path / "feedback-w1-000001.ndjson",
        [
            feedback(0, 1, prediction_id="p0", realized_direction=-1),
            feedback(0, 2, realized_direction=1),
            feedback(1, 3, realized_direction=0, realized_value=None),
            feedback(2, 4, model="another_model"),
            feedback(3, 5, instrument="EUR_USD"),
        ],
    )
    frame = predictions_frame(tmp_path)
    assert frame["realized_direction"].tolist()[:2] == [-1, 0]
    assert frame["realized_direction"].isna().tolist() == [False, False, True, True]
    assert frame["realized_value"].isna().tolist() == [False, True, True, True]
    assert frame["feedback_at"][0] == START + timedelta(days=1, minutes=1)


def test_the_latest_feedback_counts(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(0)])
    write(tmp_path / "feedback-w1-000001.ndjson", [feedback(0, 9, realized_direction=1)])
    write(tmp_path / "feedback-w2-000001.ndjson", [feedback(0, 2, realized_direction=-1)])
    assert predictions_frame(tmp_path)["realized_direction"].tolist() == [1]


def test_a_time_written_in_another_zone_is_the_same_time(tmp_path):
    write(tmp_path / "w1-000001.ndjson", [prediction(0, timestamp="2022-03-04T05:00:00-05:00")])
    write(tmp_path / "feedback-w1-000001.ndjson", [feedback(0, 1)])
    frame = predictions_frame(tmp_path)
    assert frame["timestamp"][0] == START
    assert frame["realized_direction"].tolist() == [1]


def test_more_records_than_one_chunk(tmp_path):
    records = [prediction(0, prediction_id=f"p{i:05d}", features={"rsi_14": float(i)}) for i in range(20_001)]
    write(tmp_path / "w1-000001.ndjson", records)
    frame = predictions_frame(tmp_path)
    assert len(frame) == 20_001
    assert frame["f_rsi_14"].iloc[-1] == 20_000
    assert frame.index.is_unique


def test_distinct_inputs_takes_prefixed_or_plain_columns_and_drops_repeats():
    logged = pd.DataFrame({"f_a": [1.0, 1.0, np.nan, np.nan], "b": [2, 2, 3, 3], "prediction": [0.1, 0.9, 0, 0]})
    distinct = distinct_inputs(logged, ["b", "a"])
    assert list(distinct.columns) == ["b", "a"]
    assert distinct["b"].tolist() == [2.0, 3.0]
    with pytest.raises(DataError, match="no column f_c or c"):
        distinct_inputs(logged, ["c"])
    assert list(distinct_inputs(pd.DataFrame(), ["a"]).columns) == ["a"]

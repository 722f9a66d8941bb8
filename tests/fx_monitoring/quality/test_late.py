"""Which earlier sessions have outcomes that became known since."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fx_assets.labels import label_frame
from fx_assets.lake import Lake
from fx_monitoring.quality.late import answerable, told_late
from fx_monitoring.quality.outcomes import with_outcomes
from fx_monitoring.quality.rolling import TABLE
from fx_serving.client.prediction_log import FeedbackRecord
from tests.fx_monitoring.quality.test_outcomes import LABELS, LATE, MARKET, OPEN, asked, candles, frame

KEY = "2022-03-01"


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    return label_frame(candles(), list(LABELS.values()), 60)[0]


def made(lake: Lake, labels: pd.DataFrame, known_at: datetime, rows: int = 3) -> None:
    at = datetime(2022, 3, 2, 1, tzinfo=UTC)
    asked_ = frame(*(asked(at + timedelta(seconds=n)) for n in range(rows)))
    lake.write(TABLE, {KEY: with_outcomes(asked_, labels, MARKET, known_at)})
    lake.write("gold/labels", {KEY: labels})


def test_a_session_is_due_when_the_labels_know_more_and_not_before(tmp_path, labels):
    lake, end = Lake(tmp_path), datetime(2022, 3, 2, 2, tzinfo=UTC)
    made(lake, labels, known_at=OPEN)
    assert answerable(lake, MARKET, [KEY, "2022-02-28"], end - timedelta(microseconds=1), False) == {}
    assert answerable(lake, MARKET, [KEY, "2022-02-28"], end, False) == {KEY: 1}, "three requests about one bar"
    made(lake, labels, known_at=LATE)
    assert answerable(lake, MARKET, [KEY], LATE, False) == {}, "made again, it is done"


def test_without_labels_or_predictions_nothing_is_due(tmp_path, labels):
    lake = Lake(tmp_path)
    assert answerable(lake, MARKET, [KEY], LATE, False) == {}
    lake.write("gold/labels", {KEY: labels})
    lake.write(TABLE, {KEY: frame(asked(OPEN))})
    assert answerable(lake, MARKET, [KEY], LATE, False) == {}, "made before outcomes were kept"


def feedback(at: datetime, received: datetime) -> FeedbackRecord:
    return FeedbackRecord(
        feedback_id=str(received),
        received_at=received,
        prediction_id=None,
        instrument="EUR_USD",
        timestamp=at,
        model=None,
        realized_direction=1,
        realized_value=None,
    )


def test_feedback_names_the_sessions_before_the_running_one():
    wall = datetime(2022, 3, 5, tzinfo=UTC)
    close = datetime(2022, 3, 2, 22, tzinfo=UTC)  # the end of session 03-01: its last bar's close is still its own
    records = [feedback(close + timedelta(hours=h), wall + timedelta(hours=h)) for h in (0, 1, 30)]
    assert told_late(records, "2022-03-03", False) == ({"2022-03-01": 1, "2022-03-02": 1}, wall + timedelta(hours=30))
    assert told_late([], "2022-03-03", False) == ({}, None)

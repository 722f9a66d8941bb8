"""Feedback: by prediction id and by time, once and only once whichever worker takes it, and every refusal in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from fx_serving.client.prediction_log import read_feedback
from fx_serving.config import LogSettings
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.feedback import FeedbackAnswer, FeedbackBody, FeedbackDesk
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.predictor import Answered
from fx_serving.dataplane.request import PredictRequest
from fx_serving.ingest.ingester import Ingester
from fx_serving.ingest.sqlite import SqliteDatabase
from tests.contract.serving.log_records import START, prediction
from tests.servers.serving import CLOCK, make_bundle, publish_features, start_service, wait_until

KNOWN = frozenset({"EUR_USD", "GBP_USD"})
DAY = 86_400


@pytest.fixture
def log(tmp_path: Path, monkeypatch) -> Iterator[PredictionLogWriter]:
    """A worker's log, at a data time a day after START."""
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    monkeypatch.setenv("FX_CLOCK", (START + timedelta(days=1)).isoformat())
    writer = PredictionLogWriter(tmp_path, "w0", flush_ms=1000)
    yield writer
    writer.stop()


@pytest.fixture
def desk(log: PredictionLogWriter) -> FeedbackDesk:
    """A worker that remembers nothing."""
    return FeedbackDesk(log._streams["prediction"].folder, log, {})


def ingester(folder: Path, now: float = 0.0) -> Ingester:
    """An ingester of that folder, at a wall time."""
    return Ingester(folder, SqliteDatabase(folder / "predictions.db"), LogSettings(), clock=lambda: now or time.time())


def ask(desk: FeedbackDesk, **body) -> FeedbackAnswer:
    """The desk's answer."""
    return asyncio.run(desk.take(FeedbackBody(**body), KNOWN))


def test_feedback_through_the_service(service):
    answer = service.client.predict("GBP_USD")
    first = service.client.feedback(answer["prediction_id"], realized_direction=1)
    assert (first["status"], first["matched"], first["late"]) == ("recorded", 1, False)
    again = service.client.feedback(answer["prediction_id"], realized_direction=1)
    assert again == first | {"status": "known"}
    other = service.client.feedback(answer["prediction_id"], realized_direction=-1, realized_value=-0.25)
    assert other["feedback_id"] != first["feedback_id"]
    by_time = service.client.feedback(instrument="EUR_USD", timestamp=CLOCK, realized_value=1.5)
    found = wait_until(
        lambda: [f for f in read_feedback(service.stores.predictions) if f.feedback_id == by_time["feedback_id"]]
    )
    assert (found[0].prediction_id, found[0].instrument, found[0].timestamp) == (None, "EUR_USD", CLOCK)
    records = list(read_feedback(service.stores.predictions))
    assert [f.feedback_id for f in records].count(first["feedback_id"]) == 1
    record = next(f for f in records if f.feedback_id == first["feedback_id"])
    assert (record.instrument, record.model, record.realized_direction) == ("GBP_USD", "move_60m", 1)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"prediction_id": "never", "realized_direction": 1}, 404, "never"),
        ({"prediction_id": "../x", "realized_direction": 1}, 422, "prediction_id"),
        ({"realized_direction": 1}, 422, "prediction_id"),
        ({"prediction_id": "x"}, 422, "realized_direction"),
        ({"prediction_id": "x", "realized_direction": 2}, 422, "realized_direction"),
        ({"prediction_id": "x", "realized_value": "much"}, 422, "realized_value"),
        ({"prediction_id": "x", "realized_value": 1, "timestamp": "noon"}, 422, "timestamp"),
        ({"instrument": "XAU_USD", "timestamp": "2022-03-04T21:00:00Z", "realized_value": 1}, 404, "XAU_USD"),
        ({"instrument": "GBP_USD", "timestamp": "2022-03-04T21:00:00", "realized_value": 1}, 422, "timestamp"),
        ({"instrument": "GBP_USD", "timestamp": "0001-01-01T00:00:00+09:00", "realized_value": 1}, 422, "timestamp"),
        ({"instrument": "GBP_USD", "timestamp": "2022-03-04T21:00:00Z", "oops": 1}, 422, "oops"),
        (
            {"instrument": "GBP_USD", "timestamp": "2022-03-04T21:00:00Z", "model": "a\x00", "realized_value": 1},
            422,
            "model",
        ),
    ],
)
def test_bad_feedback(service, body, status, words):
    answer = httpx.post(f"{service.url}/feedback", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_the_same_feedback_is_kept_once_whichever_worker_takes_it(desk, log, tmp_path):
    assert log.add(msgspec.json.encode(prediction(1)))
    log.flush()
    first = ask(desk, prediction_id="p1", realized_direction=1)
    log.flush()
    other = FeedbackDesk(tmp_path, log, {})
    assert ask(other, prediction_id="p1", realized_direction=1) == first.model_copy(update={"status": "known"})
    ingester(tmp_path).step()
    for path in tmp_path.glob("feedback-*.ndjson"):
        path.unlink()  # only the database knows it
    assert ask(FeedbackDesk(tmp_path, log, {}), prediction_id="p1", realized_direction=1).status == "known"
    assert ask(desk, prediction_id="p1", realized_direction=0).status == "recorded"


def test_two_at_the_same_time_are_kept_once(desk, log, tmp_path):
    log.add(msgspec.json.encode(prediction(1)))
    log.flush()
    body = FeedbackBody(prediction_id="p1", realized_direction=1)

    async def both() -> list[FeedbackAnswer]:
        return await asyncio.gather(desk.take(body, KNOWN), desk.take(body, KNOWN))

    answers = asyncio.run(both())
    assert len({answer.feedback_id for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == ["known", "recorded"]
    log.flush()
    assert len(list(read_feedback(tmp_path))) == 1
    assert log.waiting == 0


def test_by_time_it_says_of_how_many_predictions_it_speaks(desk, log, tmp_path):
    at = START.isoformat()
    none = ask(desk, instrument="EUR_USD", timestamp=at, realized_value=1.0)
    assert (none.matched, none.status) == (0, "recorded")
    assert "no prediction of this instrument and time is logged yet" in str(none.note)
    for number, changes in enumerate(
        ({}, {"model": "n"}, {"instrument": "GBP_USD"}, {"timestamp": START.replace(hour=9)})
    ):
        log.add(msgspec.json.encode(prediction(0, prediction_id=f"q{number}", **changes)))
    for _ in range(2):  # from the segments, then from the database
        found = ask(desk, instrument="EUR_USD", timestamp=at, realized_value=2.0)
        assert (found.matched, found.note) == (2, None)
        assert ask(desk, instrument="EUR_USD", timestamp=at, model="n", realized_value=2.0).matched == 1
        ingester(tmp_path).step()


def test_late_feedback_is_taken_and_told(desk, log):
    log.add(msgspec.json.encode(prediction(1, timestamp=START - timedelta(days=6, seconds=1))))
    log.flush()
    late = ask(desk, prediction_id="p1", realized_direction=1)
    assert (late.late, late.status) == (True, "recorded")
    assert late.note == "the decision is more than 7 days old; rollouts that have ended ignore it"
    desk.late_after_s = 8 * DAY
    assert not ask(desk, prediction_id="p1", realized_direction=1).late


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"instrument": "GBP_USD"}, "instrument: 'GBP_USD', but prediction p1 is of 'EUR_USD'"),
        ({"model": "n"}, "model: 'n', but prediction p1 is of 'm'"),
        ({"timestamp": START.isoformat()}, "timestamp: '2026-03-02T10:00:00Z', but prediction p1 is of "),
    ],
)
def test_what_contradicts_the_prediction_is_refused(desk, log, more, words):
    log.add(msgspec.json.encode(prediction(1)))
    log.flush()
    with pytest.raises(ApiError) as caught:
        ask(desk, prediction_id="p1", realized_direction=1, **more)
    assert caught.value.status == 422
    assert caught.value.detail.startswith(words)
    agreed = {"instrument": "EUR_USD", "model": "m", "timestamp": prediction(1).timestamp.isoformat()}
    assert ask(desk, prediction_id="p1", realized_direction=1, **agreed).status == "recorded"


def test_a_prediction_that_was_deleted_is_gone_and_an_unknown_one_is_not_found(desk, log, tmp_path):
    log.add(msgspec.json.encode(prediction(1)))
    log.flush()
    ingester(tmp_path, START.timestamp()).step()
    ingester(tmp_path, datetime(2027, 12, 1, tzinfo=UTC).timestamp()).step()
    with pytest.raises(ApiError) as gone:
        ask(desk, prediction_id="p1", realized_direction=1)
    assert gone.value.status == 410
    assert "was deleted on 2027-12-01, being older than log.keep_rows_days" in gone.value.detail
    with pytest.raises(ApiError) as unknown:
        ask(desk, prediction_id="p2", realized_direction=1)
    assert unknown.value.status == 404


def test_a_log_that_cannot_be_read_is_told_and_nothing_is_written(desk, log, tmp_path):
    (tmp_path / "predictions.db").write_bytes(b"no database" * 100)
    with pytest.raises(ApiError) as caught:
        ask(desk, prediction_id="p1", realized_direction=1)
    assert caught.value.status == 503
    assert "the prediction log cannot be read now" in caught.value.detail
    assert log.waiting == 0


def answered(instrument: str, number: int, request_id: str | None = "same") -> Answered:
    """What a worker remembers of an answer."""
    at = START + timedelta(seconds=number)
    return Answered(PredictRequest(instrument, request_id=request_id), None, b"", instrument, "m", at)


@pytest.mark.parametrize("asked_first", [0, 1])
def test_of_one_id_at_two_workers_the_answer_logged_first_counts_at_both(tmp_path, log, asked_first):
    other = PredictionLogWriter(tmp_path, "w1", flush_ms=200)
    now = datetime.now(UTC)
    desks = []
    for number, (writer, instrument) in enumerate([(other, "EUR_USD"), (log, "GBP_USD")]):
        changes = {"instrument": instrument, "prediction_id": "same", "request_id": "same"}
        writer.add(msgspec.json.encode(prediction(number, logged_at=now + timedelta(milliseconds=number), **changes)))
        desks.append(FeedbackDesk(tmp_path, writer, {"same": answered(instrument, number)}))
    first = ask(desks[asked_first], prediction_id="same", realized_direction=1)
    for writer in (other, log):
        writer.flush()
    again = ask(desks[1 - asked_first], prediction_id="same", realized_direction=1)
    assert again == first.model_copy(update={"status": "known"})
    assert [record.instrument for record in read_feedback(tmp_path)] == ["EUR_USD"]
    other.stop()


def test_what_is_not_logged_is_what_the_worker_remembers(tmp_path, log):
    desk = FeedbackDesk(tmp_path, log, {"same": answered("GBP_USD", 1), "own": answered("EUR_USD", 2, None)})
    began = time.monotonic()
    assert ask(desk, prediction_id="own", instrument="EUR_USD", realized_direction=1).status == "recorded"
    assert time.monotonic() - began < 1, "an id of the service's own making is looked up nowhere else"
    assert ask(desk, prediction_id="same", instrument="GBP_USD", realized_direction=1).status == "recorded"


def test_two_workers_record_feedback_for_the_same_question(stores, trained):
    publish_features(stores)
    make_bundle(stores, "1", trained=trained)
    with start_service(stores.home, workers=2) as service:
        service.deploy("1")

        def asked(instrument: str) -> httpx.Response:  # over a connection of its own, so of either worker
            return httpx.post(f"{service.url}/predict", json={"instrument": instrument, "request_id": "same"})

        assert asked("GBP_USD").status_code == 200
        wait_until(lambda: asked("EUR_USD").status_code == 200)
        body = {"prediction_id": "same", "realized_direction": 1}
        answers = [httpx.post(f"{service.url}/feedback", json=body).json() for _ in range(20)]
        assert len({answer["feedback_id"] for answer in answers}) == 1
        wait_until(lambda: list(read_feedback(stores.predictions)))
        assert {record.instrument for record in read_feedback(stores.predictions)} == {"GBP_USD"}

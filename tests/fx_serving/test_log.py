"""The prediction log: nothing lost on SIGTERM, patience with a disk that refuses, rotation, torn lines, following."""

import json
import resource
import signal
import threading

import msgspec
import pytest

from fx_serving.client.http import ServiceError
from fx_serving.client.prediction_log import read_predictions, segments, tail
from fx_serving.dataplane.log import PredictionLogWriter
from tests.servers.serving import CLOCK, Traffic, launch, make_bundle, publish_features, start_service, wait_until


def record(n: int, at: str = "2026-01-01T00:00:00") -> dict:
    return {
        "kind": "prediction", "prediction_id": f"p{n}", "request_id": None, "logged_at": f"{at}.{n:06d}Z",
        "timestamp": f"2022-03-04T0{n % 10}:00:00Z", "instrument": "GBP_USD", "model": "m", "version": "1",
        "slot": "blue", "fell_back": False, "prediction": 0.5, "label": "move", "features": {"a": 1.0},
        "overridden": [], "feature_time": None, "feature_age_s": None, "latency_us": 1.0, "rollout_id": None,
        "key": None,
    }  # fmt: skip


def test_sigterm_loses_nothing_and_the_next_run_goes_on(tmp_path):
    service = launch(tmp_path, workers=2, settings={"log_flush_ms": 1000})
    try:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        service.deploy("1")
        with Traffic(service.url, threads=3, pause_s=0.001) as traffic:
            wait_until(lambda: len(traffic.answers) > 100)
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: traffic.failures)
        assert service.process.wait(120) == 0
    finally:
        service.stop()
    logged = {r.prediction_id for r in read_predictions(service.stores.predictions)}
    assert {a["prediction_id"] for a in traffic.answers} <= logged
    assert not service.stores.address.exists()
    # The next run serves what was deployed, and takes feedback for what an earlier run answered.
    with start_service(tmp_path, workers=1) as again:
        assert again.client.predict("GBP_USD")["model_version"] == "1"
        prediction_id = traffic.answers[0]["prediction_id"]
        assert again.client.feedback(prediction_id, realized_direction=0)["prediction_id"] == prediction_id
        with pytest.raises(ServiceError, match="instrument"):
            again.client.feedback(prediction_id, instrument="EUR_USD", realized_direction=0)


def test_a_disk_that_refuses_degrades_health_but_not_predictions_and_nothing_is_lost(service):
    wait_until(lambda: service.client.health()["components"]["log"]["waiting"] == 0)
    before = len(list(read_predictions(service.stores.predictions)))
    (pid,) = service.worker_pids().values()
    used = max((p.stat().st_size for p in service.stores.predictions.glob("*.ndjson")), default=0)
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # As with a full disk, writes beyond this size fail; here in the middle of a line.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (used + 1000, limits[1]))
    try:
        answers = [service.client.predict("GBP_USD") for _ in range(5)]
        state = wait_until(lambda: _log_state(service, "degraded"))
        assert "File too large" in state["reason"]

        def written() -> int:
            return len(list(read_predictions(service.stores.predictions))) - before

        # One of them may have been written before the others were answered.
        wait_until(lambda: service.client.health()["components"]["log"]["waiting"] + written() >= 5)
        assert written() < 5
        answers += [service.client.predict("GBP_USD") for _ in range(5)]
        assert service.client.ready()
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    wait_until(lambda: _log_state(service, "ok"))
    logged = [r.prediction_id for r in read_predictions(service.stores.predictions)]
    assert len(logged) == before + 10
    assert {a["prediction_id"] for a in answers} <= set(logged)
    for path in service.stores.predictions.glob("*.ndjson"):
        assert all(json.loads(line) for line in path.read_bytes().splitlines())


def _log_state(service, status: str):
    found = service.client.health()["components"]["log"]
    return found if found["status"] == status else None


def test_segments_rotate_and_a_restart_begins_a_new_one(tmp_path):
    writer = PredictionLogWriter(tmp_path, "w0", flush_ms=1000, max_bytes=500)
    for n in range(5):
        writer.add(msgspec.json.encode(record(n)))
        writer.flush()
    assert writer.stop()
    assert [p.name for p in segments(tmp_path)["w0"]] == [f"w0-00000{n}.ndjson" for n in (1, 2, 3)]
    writer = PredictionLogWriter(tmp_path, "w0")
    writer.add(msgspec.json.encode(record(5)))
    assert writer.stop()
    assert segments(tmp_path)["w0"][-1].name == "w0-000004.ndjson"
    assert [r.prediction_id for r in read_predictions(tmp_path)] == [f"p{n}" for n in range(6)]


def test_a_name_that_is_taken_is_left_to_who_has_it(tmp_path):
    """A worker that is still ending, and its successor under a new supervisor."""
    ending, successor = (PredictionLogWriter(tmp_path, "w0", flush_ms=1000) for _ in range(2))
    for number, writer in enumerate((ending, successor, ending)):
        writer.add(msgspec.json.encode(record(number)))
        assert writer.flush(), writer.problem
    assert ending.stop()
    assert successor.stop()
    assert sorted(r.prediction_id for r in read_predictions(tmp_path)) == ["p0", "p1", "p2"]


def test_a_folder_that_refused_once_is_written_to_again(tmp_path, monkeypatch):
    def refuse(folder) -> None:
        raise OSError(5, "Input/output error")

    writer = PredictionLogWriter(tmp_path, "w0", flush_ms=1000)
    writer.add(msgspec.json.encode(record(1)))
    with monkeypatch.context() as patched:
        patched.setattr("fx_serving.dataplane.log.fsync_dir", refuse)
        assert not writer.flush()
        assert not writer.flush()
    assert writer.stop()
    assert [p.name for p in tmp_path.iterdir()] == ["w0-000001.ndjson"]
    assert [r.prediction_id for r in read_predictions(tmp_path)] == ["p1"]


def test_a_bounded_memory_gives_up_new_records_and_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    writer = PredictionLogWriter(tmp_path / "file", "w0", flush_ms=1, max_waiting=3)
    assert [writer.add(b"{}") for _ in range(5)] == [True, True, True, False, False]
    wait_until(lambda: writer.problem)
    assert (writer.waiting, writer.dropped) == (3, 2)
    assert not writer.stop()


def test_reading_merges_workers_in_order_of_time_skips_torn_lines_and_repetitions(tmp_path):
    def write(name: str, numbers: list[int], tail: bytes = b"") -> None:
        lines = [msgspec.json.encode(record(n)) + b"\n" for n in numbers]
        (tmp_path / name).write_bytes(b"".join(lines) + tail)

    write("w0-000001.ndjson", [1, 4], tail=b'{"kind":"prediction","predic')
    write("w0-000002.ndjson", [6])
    write("w1-000001.ndjson", [2, 3, 5], tail=msgspec.json.encode(record(9)))
    again = record(4) | {"logged_at": "2026-01-01T00:00:00.000005Z", "label": "second"}
    (tmp_path / "w2-000001.ndjson").write_bytes(msgspec.json.encode(again) + b"\n")
    found = list(read_predictions(tmp_path))
    assert [r.prediction_id for r in found] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert found[3].label == "move"
    since, until = CLOCK.replace(hour=2), CLOCK.replace(hour=5)
    assert [r.prediction_id for r in read_predictions(tmp_path, since, until)] == ["p2", "p3", "p4"]
    assert list(read_predictions(tmp_path / "none")) == []


def test_shadow_scores_have_segments_of_their_own(tmp_path):
    writer = PredictionLogWriter(tmp_path, "w0")
    for kind in ("prediction", "feedback", "shadow"):
        assert writer.add(b"{}", kind)
    assert writer.stop()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "feedback-w0-000001.ndjson",
        "shadow-w0-000001.ndjson",
        "w0-000001.ndjson",
    ]
    assert {w: [p.name for p in found] for w, found in segments(tmp_path, "shadow").items()} == {
        "w0": ["shadow-w0-000001.ndjson"]
    }
    assert list(segments(tmp_path)) == ["w0"]


def test_records_of_an_earlier_form_are_still_read(tmp_path):
    (tmp_path / "w0-000001.ndjson").write_bytes(msgspec.json.encode(record(1)) + b"\n")
    (found,) = read_predictions(tmp_path)
    assert (found.outlier_score, found.route) == (None, "predict")


def test_following_the_log_gives_what_comes_of_all_workers(tmp_path):
    def write(worker: str, number: int, end: bytes = b"\n") -> None:
        with (tmp_path / f"{worker}-000001.ndjson").open("ab") as file:
            file.write(msgspec.json.encode(record(number)) + end)

    write("w0", 1)
    stop, seen = threading.Event(), []
    following = tail(tmp_path, stop)
    write("w0", 2)
    follower = threading.Thread(target=lambda: seen.extend(r.prediction_id for r in following))
    follower.start()
    try:
        write("w1", 3)
        write("w1", 4, end=b"")
        wait_until(lambda: len(seen) == 2)
    finally:
        stop.set()
        follower.join()
    assert sorted(seen) == ["p2", "p3"]

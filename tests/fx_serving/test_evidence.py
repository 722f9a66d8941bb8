"""The counters' arithmetic, and their files."""

from functools import partial

import msgspec
import prometheus_client
import prometheus_client.metrics
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_serving.dataplane.exposition import exposition
from fx_serving.dataplane.metrics import Metrics
from fx_serving.evidence import (
    BOUNDS,
    SCORE_BINS,
    TIME_BINS,
    SlotEvidence,
    SlotTotals,
    WorkerEvidence,
    read_evidence,
    score_bin,
    time_bin,
)


def made(times: list[float], scores: list[float] = [], errors: int = 0) -> SlotEvidence:  # noqa: B006
    found = SlotEvidence({"ok": len(times), "rescored": errors})
    for seconds in times:
        found.answer[time_bin(seconds)] += 1
        found.service[time_bin(seconds)] += 1
        found.seconds += seconds
    for score in scores:
        found.scores[score_bin(score)] += 1
    return found


def test_the_bins_hold_what_their_bounds_say():
    assert len(BOUNDS) == 73
    assert BOUNDS[0] == 50e-6
    assert BOUNDS[4] == pytest.approx(100e-6)
    assert [time_bin(0.0), time_bin(50e-6), time_bin(51e-6), time_bin(1e9)] == [0, 0, 1, TIME_BINS - 1]
    assert [score_bin(0.0), score_bin(0.5), score_bin(1.0)] == [0, 25, SCORE_BINS - 1]


@given(st.lists(st.floats(60e-6, 10.0), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_quantile_lies_within_a_bin_of_the_true_one(times, q):
    true = sorted(times)[max(0, -(-int(q * 1e9) * len(times) // 10**9) - 1)]
    found = made(times).quantile_ms(q)
    assert found is not None
    assert true / 1.2 <= found / 1000 <= true * 1.2


@given(st.lists(st.floats(1e-6, 20.0), max_size=40), st.floats(0.1, 15_000))
def test_the_share_of_slow_answers_is_right_but_for_the_bin_of_the_limit(times, limit):
    found = made(times).slower_than_ms(limit)
    at = time_bin(limit / 1000)
    surely = sum(time_bin(t) > at for t in times)
    perhaps = sum(time_bin(t) == at for t in times)
    assert surely <= found + 1e-9
    assert found <= surely + perhaps + 1e-9


def test_sums_and_differences_undo_each_other():
    one, other = made([0.001, 0.002], [0.1], errors=1), made([0.004], [0.9])
    other.reasons["deadline"] = 2
    both = one.plus(other)
    assert both.requests == 4
    assert both.errors == 1
    assert both.reasons == {"deadline": 2}
    back = both.since(other)
    assert (back.answer, back.scores, back.requests) == (one.answer, one.scores, one.requests)
    assert SlotEvidence().quantile_ms(0.99) is None
    assert SlotEvidence().requests == 0


def test_the_files_of_all_workers_are_added_up_and_unusable_ones_left_out(tmp_path):
    entry = SlotTotals("m", "1", "blue", made([0.001], [0.5]))
    for name in ("w0", "w1"):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(WorkerEvidence([entry])))
    (tmp_path / "w2.json").write_text('{"slots": [')
    (tmp_path / "w3.json").write_text('{"slots":[{"model":"m","version":"1","slot":"blue","totals":{"answer":[1]}}]}')
    found = read_evidence(tmp_path)
    assert list(found) == [("m", "1", "blue")]
    assert found["m", "1", "blue"].requests == 2
    assert read_evidence(tmp_path / "none") == {}


def counting(path, monkeypatch) -> Metrics:
    """A worker's metrics; the gauges register for the process, and a registry of their own lets a test make several."""
    registry = prometheus_client.CollectorRegistry()
    for kind in (prometheus_client.metrics.Gauge, prometheus_client.metrics.Counter):
        monkeypatch.setattr(prometheus_client, kind.__name__, partial(kind, registry=registry))
    return Metrics(path)


def test_a_restarted_worker_goes_on_counting(tmp_path, monkeypatch):
    first = counting(tmp_path / "w0.json", monkeypatch)
    first.answered(("m", "1", "blue"), "ok", 0.002, 0.001, 0.7)
    first.answered(("m", "2", "green"), "rescored", 0.1, reason="deadline")
    first.refused(404, "unknown_instrument")
    first.write()
    again = counting(tmp_path / "w0.json", monkeypatch)
    again.answered(("m", "1", "blue"), "ok", 0.002, 0.001, 0.7)
    again.write()
    found = read_evidence(tmp_path)
    assert found["m", "1", "blue"].outcomes == {"ok": 2}
    assert found["m", "2", "green"].reasons == {"deadline": 1}
    assert found["m", "2", "green"].errors == 1
    (tmp_path / "values").mkdir()
    text = exposition(tmp_path / "values", tmp_path, tmp_path / "ingest.json").decode()
    assert 'fx_predictions_total{model="m",outcome="ok",slot="blue",version="1"} 2.0' in text
    assert 'fx_canary_failures_total{model="m",reason="deadline",version="2"} 1.0' in text
    assert 'fx_predictions_refused_total{reason="unknown_instrument",status="404"} 1.0' in text
    assert 'fx_prediction_seconds_count{model="m",slot="blue",version="1"} 2.0' in text


@pytest.mark.parametrize("content", [b'{"slots": [{"model": "\xff"}]}', b'{"slots": [', b"[]", b""])
def test_a_damaged_file_is_left_out_and_told_once(tmp_path, caplog, content):
    counted = SlotTotals("m", "1", "blue", made([0.001], [0.5]))
    (tmp_path / "w0.json").write_bytes(msgspec.json.encode(WorkerEvidence([counted])))
    (tmp_path / "w1.json").write_bytes(content)
    for _ in range(2):
        assert read_evidence(tmp_path)["m", "1", "blue"].requests == 1
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{tmp_path / 'w1.json'}: ")
    assert "What it counted is left out" in told

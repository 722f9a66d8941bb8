"""Rollouts of real bundles through real processes, under traffic."""

import shutil

import httpx
import msgspec
import pytest

from fx_serving.client.http import ServiceError
from fx_serving.client.prediction_log import read_predictions
from tests.servers.serving import (
    Traffic,
    make_bundle,
    make_trick_bundle,
    publish_features,
    start_service,
    wait_until,
)

UNTESTED = {"suite_min_share": 0}  # lets a bad candidate reach its canary


def test_success_under_traffic_with_no_failed_request(tmp_path):
    with start_service(tmp_path, workers=2) as service:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        make_bundle(service.stores, "2")
        with pytest.raises(ServiceError, match="no model is deployed") as none_yet:
            service.client.predict("GBP_USD")
        assert none_yet.value.status == 503
        assert not service.client.ready()
        service.deploy("1")
        assert service.client.ready()
        changes = []
        with Traffic(service.url) as traffic:
            started = service.client.start_rollout("move_60m", "2")
            assert started["state"] == "queued"
            with pytest.raises(ServiceError, match=started["id"]) as second:
                service.client.start_rollout("move_60m", "2")
            assert second.value.status == 409
            done = service.client.wait_rollout(
                started["id"], 30, lambda r: changes.append((r["state"], r["weight"])), poll_s=0.05
            )
            wait_until(lambda: traffic.answers[-1]["model_version"] == "2")
        assert traffic.failures == []
        assert done["state"] == "succeeded", done
        assert done["from_version"] == "1"
        assert [(s["weight"], s["outcome"]) for s in done["steps"]] == [(50, "passed"), (100, "passed")]
        assert all(s["requests"] >= 5 and s["errors"] == 0 and s["p99_ms"] > 0 for s in done["steps"])
        assert changes[-1] == ("succeeded", 100)
        assert ("canary", 50) in changes
        assert done["suite"]["passed"] == done["suite"]["total"] > 10, done["suite"]
        slots = {(a["slot"], a["model_version"], a["fell_back"]) for a in traffic.answers}
        assert slots == {("blue", "1", False), ("green", "2", False), ("blue", "2", False)}
        assert service.client.traffic()["models"]["move_60m"]["blue"]["version"] == "2"
        with pytest.raises(ServiceError, match="deployed already"):
            service.client.start_rollout("move_60m", "2")
        wait_until(lambda: len(list(read_predictions(service.stores.predictions))) == len(traffic.answers))
        by_id = {r.prediction_id: r for r in read_predictions(service.stores.predictions)}
        for answer in traffic.answers:
            record = by_id[answer["prediction_id"]]
            assert (record.version, record.slot) == (answer["model_version"], answer["slot"])
            assert (record.rollout_id == done["id"]) == (answer["slot"] == "green")
        # A retried start with the same id is the same rollout, not a second one.
        make_bundle(service.stores, "3")
        body = {"model": "move_60m", "version": "3", "request_id": "again"}
        ids = {httpx.post(f"{service.url}/rollouts", json=body).json()["id"] for _ in range(2)}
        assert len(ids) == 1
        stopped = service.client.abort_rollout(ids.pop(), "test over")
        assert (stopped["state"], stopped["reason"]) == ("aborted", "test over")


def test_a_key_stays_where_it_is_while_the_weight_rises(service):
    make_bundle(service.stores, "sticky")
    policy = {"steps": [30, 70, 100], "window_s": 600}
    rollout = service.client.start_rollout("move_60m", "sticky", policy)
    try:
        wait_until(lambda: service.client.rollout(rollout["id"])["state"] == "canary")
        wait_until(lambda: service.client.traffic()["models"]["move_60m"]["green"])
        wait_until(lambda: service.client.traffic()["models"]["move_60m"]["green"]["weight"] == 30)
        keys = [f"desk-{i}" for i in range(60)]
        first = {key: service.client.predict("GBP_USD", key=key)["slot"] for key in keys}
        assert first == {key: service.client.predict("EUR_USD", key=key)["slot"] for key in keys}
        assert 5 < list(first.values()).count("green") < 35
        forced = service.client.predict("GBP_USD", slot="green")
        assert (forced["slot"], forced["model_version"]) == ("green", "sticky")
        assert service.client.predict("GBP_USD", slot="blue")["model_version"] == "1"
    finally:
        service.client.abort_rollout(rollout["id"])
    wait_until(lambda: service.client.traffic()["models"]["move_60m"]["green"] is None)
    assert wait_until(lambda: service.sidecar_pids() == [])
    assert service.client.abort_rollout(rollout["id"])["state"] == "aborted"


def test_a_candidate_out_of_memory_is_answered_by_blue_and_rolled_back(service):
    make_trick_bundle(service.stores, "greedy", megabytes_per_unit=20_000)
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", "greedy", UNTESTED)
        done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
    assert done["state"] == "rolled_back", done
    assert "error" in done["reason"]
    assert done["weight"] == 0
    assert done["steps"][-1]["errors"] == done["steps"][-1]["requests"] > 0
    assert traffic.failures == []
    assert traffic.versions() == {"1"}
    assert any(a["fell_back"] and a["slot"] == "blue" for a in traffic.answers)
    text = httpx.get(f"{service.url}/metrics").text
    assert 'fx_canary_failures_total{model="move_60m",reason="exception",version="greedy"}' in text


def test_a_slow_candidate_is_rolled_back_on_p99(service):
    make_trick_bundle(service.stores, "slow", megabytes_per_unit=1500)
    policy = {**UNTESTED, "max_p99_ms": 5, "max_error_rate": None, "steps": [100]}
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", "slow", policy)
        done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
    assert done["state"] == "rolled_back", done
    assert "p99" in done["reason"]
    assert traffic.failures == []


def corrupt(stores, version: str, how: str) -> str:
    """Damage a good bundle; returns words of the expected reason."""
    make_bundle(stores, version)
    folder = stores.bundles / "move_60m" / version
    if how == "a flipped byte":
        content = bytearray((folder / "model.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "model.onnx").write_bytes(content)
        return "content hash"
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    if how == "features swapped":
        manifest["features"].reverse()
        words = "schema_hash"
    elif how == "another model's golden rows":
        make_bundle(stores, "other")
        shutil.copy(stores.bundles / "move_60m" / "other" / "golden.json", folder / "golden.json")
        manifest["files"]["golden.json"] = msgspec.json.decode(
            (stores.bundles / "move_60m" / "other" / "manifest.json").read_bytes()
        )["files"]["golden.json"]
        words = "golden row"
    else:
        (folder / "manifest.json").unlink()
        return "no such file"
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return words


@pytest.mark.parametrize("how", ["a flipped byte", "features swapped", "another model's golden rows", "no manifest"])
def test_a_damaged_bundle_is_refused_and_blue_untouched(service, how):
    version = "bad-" + how.replace(" ", "-").replace("'", "")
    words = corrupt(service.stores, version, how)
    rollout = service.client.start_rollout("move_60m", version)
    done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
    assert done["state"] == "failed", done
    assert words in done["reason"]
    assert done["steps"] == []
    assert service.client.predict("GBP_USD")["model_version"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "move_60m"}, 422, "version"),
        ({"model": "move_60m", "version": "../../etc"}, 422, "version"),
        ({"model": "..", "version": "1"}, 422, "model"),
        ({"model": "move_60m", "version": "404"}, 404, "Exported versions of move_60m: 1"),
        ({"model": "move_60m", "version": "x", "policy": {"steps": [50, 10]}}, 422, "policy.steps"),
        ({"model": "move_60m", "version": "x", "policy": {"speed": 1}}, 422, "policy.speed"),
        ({"model": "move_60m", "version": "x", "polcy": {}}, 422, "polcy"),
    ],
)
def test_bad_rollout_requests(service, body, status, words):
    answer = httpx.post(f"{service.url}/rollouts", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_unknown_rollouts(service):
    for call in (service.client.rollout, service.client.abort_rollout):
        with pytest.raises(ServiceError, match="no such rollout") as error:
            call("nope")
        assert error.value.status == 404


def test_a_candidate_that_fails_its_smoke_test_gets_no_traffic(service):
    make_trick_bundle(service.stores, "untried", megabytes_per_unit=20_000)
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", "untried")
        done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
    assert (done["state"], done["steps"]) == ("failed", []), done
    assert "smoke test" in done["reason"]
    assert any("live features of EUR_USD" in failure for failure in done["suite"]["failures"])
    assert traffic.failures == []
    assert not any(answer["fell_back"] for answer in traffic.answers)


def test_without_traffic_a_rollout_holds_or_is_rolled_back_when_the_policy_says_when(service):
    make_bundle(service.stores, "lonely")
    rollout = service.client.start_rollout("move_60m", "lonely", {"window_s": 0.1, "hold_timeout_s": None})
    wait_until(lambda: service.client.rollout(rollout["id"])["awaiting"] == "evidence")
    policy = {"window_s": 0.1, "hold_timeout_s": 0.8}
    service.client.abort_rollout(rollout["id"])
    rollout = service.client.start_rollout("move_60m", "lonely", policy)
    done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
    assert done["state"] == "rolled_back"
    assert "want of evidence" in done["reason"]

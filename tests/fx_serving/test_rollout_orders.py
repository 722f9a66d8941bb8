"""An operator's levers over the public port of a real service, and the figures they show."""

import time
from datetime import UTC, datetime

import httpx
import pytest

from tests.servers.serving import Traffic, make_bundle, wait_until

SLOW = {"steps": [20, {"weight": 60, "approval": True}, 100], "window_s": 600}


@pytest.fixture
def ask(service):
    """Ask the service: (method, path, body) -> the answer."""
    with httpx.Client(base_url=service.url, trust_env=False, timeout=20) as client:

        def asked(method, path, body=None, status=200):
            answer = client.request(method, path, json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        yield asked


def in_canary(service, ask, version, **more):
    """A rollout in its first step."""
    make_bundle(service.stores, version)
    body = {"model": "move_60m", "version": version, "policy": SLOW, **more}
    id = ask("POST", "/rollouts", body, 202)["id"]
    wait_until(lambda: ask("GET", f"/rollouts/{id}")["state"] == "canary")
    return id


def green_weight(ask):
    green = ask("GET", "/traffic")["models"]["move_60m"]["green"]
    return green and green["weight"]


def test_pause_traffic_approve_promote_and_back_again_in_a_moment(service, ask):
    with Traffic(service.url) as traffic:
        id = in_canary(service, ask, "levers", reason="to be tried")
        path = f"/rollouts/{id}"
        assert ask("POST", f"{path}/pause", {"reason": "lunch"})["paused"]
        assert ask("POST", f"{path}/pause")["paused"]
        assert "waits for no approval" in ask("POST", f"{path}/approve", status=409)["detail"]
        split = ask("PUT", "/traffic", {"model": "move_60m", "blue": 60, "green": 40, "reason": "a look"})
        assert (split["weight"], split["paused"]) == (40, True)
        wait_until(lambda: green_weight(ask) == 40)
        assert ask("POST", f"{path}/resume")["weight"] == 20
        wait_until(lambda: green_weight(ask) == 20)
        assert ask("POST", f"{path}/promote", {"reason": "sure"})["state"] == "finalizing"
        wait_until(lambda: ask("GET", path)["state"] == "succeeded")
        wait_until(lambda: traffic.answers[-1]["model_version"] == "levers")
        assert ask("GET", "/traffic")["models"]["move_60m"]["standby"]["version"] == "1"
        back = ask("POST", "/models/move_60m/rollback", {"reason": "worse"})
        assert back == {"model": "move_60m", "version": "1", "replaced": "levers", "rollout_id": id}
        wait_until(lambda: traffic.answers[-1]["model_version"] == "1")
    assert traffic.failures == []
    done = ask("GET", path)
    assert (done["state"], done["reason"]) == ("rolled_back", "worse")
    assert "held ready" in ask("POST", "/models/move_60m/rollback", status=409)["detail"]
    records = ask("GET", "/audit?newest_first=true&limit=200")["records"]
    mine = [r for r in reversed(records) if r["rollout_id"] == id]
    assert [r["what"] for r in mine] == [e["what"] for e in done["events"]]
    assert {"paused", "resumed", "rolled_back"} <= {r["what"] for r in mine}
    assert {r["actor"] for r in mine} == {"local", "controller"}
    assert ask("GET", "/audit/verify")["whole"]


def test_a_step_waits_for_its_approval(service, ask):
    policy = {"steps": [50, {"weight": 100, "approval": True}]}
    make_bundle(service.stores, "approved")
    with Traffic(service.url) as traffic:
        body = {"model": "move_60m", "version": "approved", "policy": policy}
        id = ask("POST", "/rollouts", body, 202)["id"]
        wait_until(lambda: ask("GET", f"/rollouts/{id}")["awaiting"] == "approval")
        assert ask("POST", f"/rollouts/{id}/approve", {"reason": "seen"})["awaiting"] is None
        wait_until(lambda: ask("GET", f"/rollouts/{id}")["state"] == "succeeded")
        ask("POST", f"/rollouts/{id}/rollback", {"reason": "test over"})
        wait_until(lambda: traffic.answers[-1]["model_version"] == "1")
    assert traffic.failures == []


def test_the_last_seconds_of_a_model(service, ask):
    began = datetime.now(UTC)
    with Traffic(service.url):

        def seen():
            samples = ask("GET", "/series?model=move_60m&minutes=1")["samples"]
            return [s for s in samples if datetime.fromisoformat(s["t"]) > began and s["slots"]["blue"]["requests"]]

        found = wait_until(seen)[-1]["slots"]["blue"]
    assert found["p99_ms"] >= found["p50_ms"] > 0
    assert found["weight"] == 100
    assert ask("GET", "/series?model=nobody")["samples"] == []


def test_a_dry_run_scores_unseen_and_sends_nobody(service, ask):
    make_bundle(service.stores, "unseen")
    with Traffic(service.url) as traffic:
        body = {"model": "move_60m", "version": "unseen", "dry_run": True}
        id = ask("POST", "/rollouts", body, 202)["id"]
        wait_until(lambda: ask("GET", f"/rollouts/{id}")["state"] == "concluded")
    done = ask("GET", f"/rollouts/{id}")
    assert done["verdict"]["winner"] == "green", done
    assert done["steps"][0]["requests"] >= 5
    assert traffic.failures == []
    assert traffic.versions() == {"1"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("PUT", "/traffic", {"model": "move_60m", "blue": 50, "green": 50}, 409, "no candidate"),
        ("PUT", "/traffic", {"model": "move_60m", "blue": 50, "green": 60}, 422, "100 together"),
        ("PUT", "/traffic", {"model": "../x", "blue": 50, "green": 50}, 422, "model"),
        ("POST", "/rollouts/nope/pause", None, 404, "no such rollout"),
        ("POST", "/rollouts/nope/promote", {"reasn": "x"}, 422, "reasn"),
        ("POST", "/models/nobody/rollback", None, 404, "no version"),
        ("GET", "/rollouts?limit=0", None, 422, "limit"),
        ("GET", "/series", None, 422, "model"),
        ("GET", "/audit?after=-1", None, 422, "after"),
        ("POST", "/rollouts", {"model": "m", "version": "1", "kind": "ab", "dry_run": True}, 422, "dry_run"),
    ],
)
def test_bad_orders(service, ask, method, path, body, status, words):
    assert words in ask(method, path, body, status)["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_limit_that_is_no_number_does_not_turn_its_gate_off(service, number):
    make_bundle(service.stores, "unlimited")
    body = f'{{"model": "move_60m", "version": "unlimited", "policy": {{"max_error_rate": {number}}}}}'
    answer = httpx.post(f"{service.url}/rollouts", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert "policy.max_error_rate" in answer.json()["detail"]


def test_the_controller_itself_answers_only_those_who_hold_the_key(service):
    import json

    url = json.loads(service.stores.controller.read_bytes())["url"]
    for headers in ({}, {"authorization": "Bearer wrong"}):
        for method, path in (("GET", "/rollouts"), ("POST", "/rollouts/x/abort"), ("GET", "/audit")):
            assert httpx.request(method, url + path, headers=headers, trust_env=False).status_code == 401


def test_a_newer_candidate_ends_the_running_one(service, ask):
    first = in_canary(service, ask, "older")
    make_bundle(service.stores, "newer")
    body = {"model": "move_60m", "version": "newer", "policy": SLOW}
    second = ask("POST", "/rollouts", body, 202)["id"]
    ended = ask("GET", f"/rollouts/{first}")
    assert (ended["state"], ended["superseded_by"]) == ("superseded", second)
    wait_until(lambda: ask("GET", f"/rollouts/{second}")["state"] == "canary")
    started = time.monotonic()
    ask("POST", f"/rollouts/{second}/abort", {"reason": "test over"})
    wait_until(lambda: ask("GET", "/traffic")["models"]["move_60m"]["green"] is None)
    assert time.monotonic() - started < 10

"""kill -9 of each part of the service in the middle of a rollout, under traffic: no caller sees an error."""

import os
import signal
import time
from pathlib import Path

import pytest

from fx_serving.client.http import FINISHED
from fx_serving.client.prediction_log import read_predictions
from fx_serving.state import open_state, read_head
from tests.servers.serving import (
    Service,
    Traffic,
    launch,
    make_bundle,
    publish_features,
    start_service,
    wait_until,
)

POLICY = {"steps": [50, 100], "window_s": 0.8, "min_requests": 20}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Two workers, version 0 deployed."""
    with start_service(tmp_path_factory.mktemp("home"), workers=2, policy=POLICY) as running:
        prepare(running)
        yield running


@pytest.fixture
def candidate(service) -> str:
    """A version that was not rolled out before; the one of the test before is gone from both workers."""
    wait_until(lambda: service.sidecar_pids() == [])
    return make_bundle(service.stores, str(len(service.client.rollouts())))


def prepare(service: Service) -> None:
    publish_features(service.stores)
    make_bundle(service.stores, "0")
    service.deploy("0")


def blue(service: Service) -> str:
    """The deployed version."""
    return service.client.predict("GBP_USD", slot="blue")["model_version"]


def in_canary(service: Service, traffic: Traffic, version: str) -> str:
    """Start a rollout and wait until the candidate answers; returns its id."""
    rollout = service.client.start_rollout("move_60m", version)
    wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[-20:]))
    return rollout["id"]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_worker_killed(service, candidate):
    with Traffic(service.url) as traffic:
        id = in_canary(service, traffic, candidate)
        time.sleep(1.2)
        before, killed_at = service.worker_pids(), time.monotonic()
        kill(before["w0"])
        wait_until(lambda: service.worker_pids().get("w0") not in (None, before["w0"]))
        done = service.client.wait_rollout(id, 120, poll_s=0.1)
        answered = len(traffic.answers)
        wait_until(lambda: len(traffic.answers) > answered + 50)
    assert traffic.failures == []
    assert done["state"] == "succeeded", done
    assert traffic.versions(answered + 10) == {candidate}
    service.client.feedback(traffic.answers[-1]["prediction_id"], realized_direction=1)  # waits for the flush
    logged = {record.prediction_id for record in read_predictions(service.stores.predictions)}
    early = {id for id, at in traffic.received if at < killed_at - 1}
    assert early
    assert early <= logged, "a SIGKILL may cost the last second of the log, no more"


def test_controller_killed(service, candidate):
    with Traffic(service.url) as traffic:
        id = in_canary(service, traffic, candidate)
        before = service.controller_pid()
        kill(before)
        done = service.client.wait_rollout(id, 120, poll_s=0.1)
    assert service.controller_pid() != before
    assert traffic.failures == []
    assert done["state"] == "succeeded", done
    assert [s["outcome"] for s in done["steps"]] == ["interrupted", "passed", "passed"]
    assert any("restarted" in e["why"] for e in done["events"])


def test_controller_killed_and_the_bundle_gone_when_it_is_back(service, candidate):
    deployed = blue(service)
    folder = service.stores.bundles / "move_60m" / candidate
    with Traffic(service.url) as traffic:
        id = in_canary(service, traffic, candidate)
        kill(service.controller_pid())
        folder.rename(folder.with_name(f"{candidate}-gone"))
        done = service.client.wait_rollout(id, 120, poll_s=0.1)
        wait_until(lambda: traffic.versions(len(traffic.answers) - 20) == {deployed})
    assert traffic.failures == []
    assert done["state"] == "rolled_back", done
    assert "bundle is gone" in done["reason"]


def test_sidecars_killed_again_and_again_roll_the_candidate_back(service, candidate):
    deployed = blue(service)
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", candidate, {"window_s": 30})
        # Killed while it is tested, it fails without ever having had traffic; here it has some.
        wait_until(lambda: service.client.rollout(rollout["id"])["state"] == "canary")
        state = ""
        while state not in FINISHED:
            for pid in service.sidecar_pids():
                try:
                    kill(pid)
                except ProcessLookupError:
                    continue  # already replaced
            time.sleep(0.05)
            state = service.client.rollout(rollout["id"])["state"]
        done = service.client.rollout(rollout["id"])
        wait_until(lambda: traffic.versions(len(traffic.answers) - 20) == {deployed})
    assert traffic.failures == []
    assert done["state"] == "rolled_back", done


def test_one_dead_sidecar_is_replaced_and_costs_no_answer(service, candidate):
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", candidate, {"window_s": 60, "max_error_rate": None})
        wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[-20:]))
        pids = service.sidecar_pids()
        assert len(pids) == 2
        for pid in pids:
            kill(pid)
        # Not among the first answers after it: those fell back.
        wait_until(lambda: any(a["fell_back"] for a in traffic.answers))
        seen = len(traffic.answers)
        wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[seen:]))
        service.client.abort_rollout(rollout["id"])
    assert traffic.failures == []


def test_a_hanging_sidecar_misses_its_deadline_and_is_replaced(service, candidate):
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", candidate, {"window_s": 60, "max_error_rate": None})
        wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[-20:]))
        pids = service.sidecar_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: any(a["fell_back"] for a in traffic.answers))
        # Both connections may be with one worker; the other's sidecar is then not asked, and not missed.
        wait_until(lambda: set(service.sidecar_pids()) - set(pids))
        seen = len(traffic.answers)
        wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[seen:]))
        service.client.abort_rollout(rollout["id"])
    assert traffic.failures == []


def test_the_canary_weight_is_a_lease(service, candidate):
    """A controller that hangs (here: stopped) renews nothing; workers return to blue, and to green when it is back."""
    deployed = blue(service)
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", candidate, {"window_s": 60, "steps": [100]})
        wait_until(lambda: traffic.answers and traffic.answers[-1]["slot"] == "green")
        pid = service.controller_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: {a["slot"] for a in traffic.answers[-20:]} == {"blue"})
            wait_until(lambda: service.client.traffic()["lease"] == "lost")
            state = service.client.health()["components"]["controller"]
            assert state["status"] == "degraded"
            assert "predictions go on" in state["reason"]
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: {a["slot"] for a in traffic.answers[-20:]} == {"green"})
        service.client.abort_rollout(rollout["id"])
    assert traffic.failures == []
    assert {(a["slot"], a["model_version"]) for a in traffic.answers} == {("blue", deployed), ("green", candidate)}


def test_whole_service_killed_in_mid_rollout_and_started_again(tmp_path):
    first = launch(tmp_path, workers=1, policy=POLICY)
    try:
        prepare(first)
        with Traffic(first.url) as traffic:
            id = in_canary(first, traffic, make_bundle(first.stores, "2"))
        pids = [*first.worker_pids().values(), first.controller_pid()]
        kill(first.process.pid)
        first.process.wait(120)
        # Killed: the children notice that their parent is gone.
        wait_until(lambda: not any(alive(pid) for pid in pids))
    finally:
        first.stop()
    with start_service(tmp_path, workers=1, policy=POLICY) as second, Traffic(second.url) as traffic:
        done = second.client.wait_rollout(id, 120, poll_s=0.1)
        assert done["state"] == "succeeded", done
        assert done["steps"][0]["outcome"] == "interrupted"
        assert second.client.predict("GBP_USD")["model_version"] == "2"
        assert traffic.failures == []
    state = open_state(second.stores)
    assert state.verify_audit(read_head(second.stores.audit_head)).whole
    state.close()


def alive(pid: int) -> bool:
    """Whether it runs; what only waits for its parent to take note of its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

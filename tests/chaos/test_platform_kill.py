"""kill -9 of parts of a whole running platform in mid-rollout: the rollout ends, the audit holds, callers are answered.

The service alone, with finer cuts, is test_serving_kill.py's business; here it is `fx up` on the demo's real bundles.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from fx_serving.client.http import FINISHED, ServiceUnreachable
from fx_serving.client.prediction_log import read_predictions
from fx_serving.routing import read_routing
from fx_serving.state import open_state, read_head
from tests.servers.demo import MODEL, copy_of, finished_demo
from tests.servers.platform import Platform, command_of, descendants, living, start_platform
from tests.servers.serving import Traffic, wait_until

pytestmark = [pytest.mark.demo, pytest.mark.slow]

POLICY = {
    "steps": [25, 50, 100],
    "window_s": 2,
    "min_requests": 10,
    "suite_cases": 8,
    "max_p99_ms": 5000,
    "max_latency_ratio": None,
    "max_distribution_shift": None,
    "hold_timeout_s": 30,
    "apply_timeout_s": 30,
}
END_S = 240


class Restartable:
    """A home with `fx up` on it, started again after it was killed."""

    def __init__(self, home: Path):
        self.home = home
        self._stack = ExitStack()
        self.platform = self._stack.enter_context(start_platform(home))

    def again(self) -> Platform:
        """The platform that was killed is cleared away, and another one started on the same home."""
        self.stop()
        self.platform = self._stack.enter_context(start_platform(self.home))
        return self.platform

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def restartable(request, tmp_path_factory) -> Iterator[Restartable]:
    demo = finished_demo(request.config, tmp_path_factory)
    assert demo.code == 0, demo.output[-3000:]
    running = Restartable(copy_of(demo, tmp_path_factory.mktemp("chaos") / "home"))
    yield running
    running.stop()


def supervisor(platform: Platform) -> psutil.Process:
    (found,) = [p for p in psutil.Process(platform.process.pid).children() if "fx_serving.cli" in command_of(p)]
    return found


def below(platform: Platform, module: str) -> list[psutil.Process]:
    return [p for p in supervisor(platform).children() if module in command_of(p)]


def deployed(platform: Platform) -> str:
    with platform.client() as client:
        return client.predict("GBP_USD", slot="blue")["model_version"]


def in_canary(platform: Platform, traffic: Traffic) -> tuple[str, str]:
    """Start a rollout of a version that is not deployed, and wait until it answers; (rollout id, version)."""
    current = deployed(platform)
    candidate = next(v for v in ("3", "1", "2") if v != current)
    with platform.client() as client:
        rollout = client.start_rollout(MODEL, candidate, POLICY)
    wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[-20:]))
    return rollout["id"], candidate


def ended(platform: Platform, id: str) -> dict:
    """The rollout at its end, and what must hold then: stores, routing table and answers agree."""
    with platform.client() as client:
        done = client.wait_rollout(id, END_S, poll_s=0.2)
        assert done["state"] in ("succeeded", "rolled_back"), done
        assert all(step["ended_at"] and step["outcome"] for step in done["steps"])
        state = open_state(platform.stores)
        try:
            verdict = state.verify_audit(read_head(platform.stores.audit_head))
            assert verdict.whole, verdict.why
            assert state.rollouts(active=True) == []
            now = state.deployed()[MODEL].version
        finally:
            state.close()
        assert now == (done["version"] if done["state"] == "succeeded" else done["from_version"])
        route = read_routing(platform.stores.routing).models[MODEL]
        assert (route.blue, route.green) == (now, None)
        wait_until(lambda: client.predict("GBP_USD")["model_version"] == now)
        for instrument in ("GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"):
            answer = client.predict(instrument)
            assert (answer["model_version"], answer["slot"]) == (now, "blue")
        assert {r["state"] for r in client.rollouts()} <= FINISHED
    return done


@pytest.mark.parametrize("module", ["fx_serving.dataplane.worker", "fx_serving.controller.app"])
def test_a_worker_or_the_controller_killed_in_mid_canary(restartable: Restartable, module):
    platform = restartable.platform
    with Traffic(platform.serving) as traffic:
        id, _ = in_canary(platform, traffic)
        victim = below(platform, module)[0]
        victim.kill()
        wait_until(lambda: any(p.pid != victim.pid for p in below(platform, module)))
        done = ended(platform, id)
    assert traffic.failures == [], "a dead part costs no caller an answer"
    assert done["state"] == "succeeded", done
    if "controller" in module:
        assert "interrupted" in [step["outcome"] for step in done["steps"]]
    assert platform.process.poll() is None


def the_service(platform: Platform) -> list[psutil.Process]:
    """The supervisor first, so that it starts nothing again; with the candidates' sidecars."""
    top = supervisor(platform)
    return [top, *descendants(top.pid)]


def the_command(platform: Platform) -> list[psutil.Process]:
    return [psutil.Process(platform.process.pid)]


@pytest.mark.parametrize("victims", [the_service, the_command])
def test_everything_killed_in_mid_canary_and_started_again(
    restartable: Restartable, victims: Callable[[Platform], list[psutil.Process]]
):
    platform = restartable.platform
    everything = descendants(platform.process.pid)
    with Traffic(platform.serving) as traffic:
        id, _ = in_canary(platform, traffic)
        time.sleep(1.5)  # so that what was answered first is in the log
        answered = [i for i, at in traffic.received if at < time.monotonic() - 1.3]
        for victim in victims(platform):
            os.kill(victim.pid, signal.SIGKILL)
    assert all(isinstance(failure, ServiceUnreachable) for failure in traffic.failures), traffic.failures
    code = platform.process.wait(120)
    if victims is the_service:
        assert code == 1
        assert "serving ended unexpectedly" in "".join(platform.output)
    # Nobody is left who could hold a port, or write to the home behind the next one's back.
    wait_until(lambda: not living(everything))
    logged = {record.prediction_id for record in read_predictions(platform.stores.predictions)}
    assert answered
    assert set(answered) <= logged
    platform = restartable.again()
    with Traffic(platform.serving) as traffic:
        done = ended(platform, id)
    assert traffic.failures == []
    assert "interrupted" in [step["outcome"] for step in done["steps"]]

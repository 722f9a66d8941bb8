"""python -m benchmarks.serving.reaction: how long callers meet a candidate after it failed, or was taken back by hand.

The real service with two workers, under traffic; times are those at which callers got their answers.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Figure
from benchmarks.serving.goals import SECTION
from fx_serving.config import LeaseSettings
from tests.servers.serving import (
    Service,
    Traffic,
    make_bundle,
    make_trick_bundle,
    publish_features,
    start_service,
    wait_until,
)

TIMES = 5
MODEL = "move_60m"
# Half of 100 requests a second are the candidate's.
POLICY = {"steps": [50, 100], "window_s": 600, "min_requests": 500, "suite_min_share": 0}


def _canary(service: Service, version: str) -> str:
    """A rollout whose candidate answers, or should."""
    id = service.client.start_rollout(MODEL, version, POLICY)["id"]
    wait_until(lambda: service.client.rollout(id)["state"] == "canary", 30)
    return id


def _failing(service: Service, number: int) -> float:
    """Seconds between the first and the last answer that the candidate failed to give."""
    make_trick_bundle(service.stores, f"bad{number}", megabytes_per_unit=20_000)
    with Traffic(service.url, threads=2, pause_s=0.018) as traffic:
        id = _canary(service, f"bad{number}")
        done = service.client.wait_rollout(id, 30, poll_s=0.02)
        time.sleep(0.5)
    assert done["state"] == "rolled_back", done
    assert not traffic.failures, traffic.failures
    fallen = {answer["prediction_id"] for answer in traffic.answers if answer["fell_back"]}
    times = [at for id, at in traffic.received if id in fallen]
    return max(times) - min(times)


def _last_of(traffic: Traffic, version: str, since: float) -> float:
    """Seconds from `since` to the last answer of a version."""
    mine = {answer["prediction_id"] for answer in traffic.answers if answer["model_version"] == version}
    return max((at - since for id, at in traffic.received if id in mine), default=0.0)


def _by_hand(service: Service, number: int) -> tuple[float, float]:
    """Seconds from an abort, and from a rollback after the end, to the candidate's last answer."""
    version = f"good{number}"
    make_bundle(service.stores, version)
    found = []
    for order in ("abort", "rollback"):
        with Traffic(service.url, threads=2, pause_s=0.002) as traffic:
            since = _ordered(service, traffic, version, order)
        assert not traffic.failures, traffic.failures
        found.append(_last_of(traffic, version, since))
    return found[0], found[1]


def _ordered(service: Service, traffic: Traffic, version: str, order: str) -> float:
    """Give the order once the candidate answers; returns when (monotonic)."""
    id = _canary(service, version)
    wait_until(lambda: any(answer["model_version"] == version for answer in traffic.answers))
    if order == "rollback":
        service.client.promote_rollout(id)
        wait_until(lambda: service.client.rollout(id)["state"] == "succeeded", 30)
        wait_until(lambda: {a["model_version"] for a in traffic.answers[-20:]} == {version})
    since = time.monotonic()
    getattr(service.client, f"{order}_rollout")(id)
    time.sleep(0.5)
    return since


def _controller_gone(folder: Path) -> float:
    """Seconds from the controller's standstill to the candidate's last answer, at the lease as shipped."""
    lease = {"renew_s": LeaseSettings().renew_s, "expire_s": LeaseSettings().expire_s}
    with start_service(folder, workers=2, settings={"lease": lease}) as service:
        publish_features(service.stores)
        for version in ("1", "2"):
            make_bundle(service.stores, version)
        service.deploy("1")
        with Traffic(service.url, threads=2, pause_s=0.002) as traffic:
            _canary(service, "2")
            wait_until(lambda: any(answer["model_version"] == "2" for answer in traffic.answers))
            pid, since = service.controller_pid(), time.monotonic()
            os.kill(pid, signal.SIGSTOP)  # killed, it would be back at once
            try:
                time.sleep(12)
            finally:
                os.kill(pid, signal.SIGCONT)
                stopped = time.monotonic()
        assert not traffic.failures, traffic.failures
        mine = {answer["prediction_id"] for answer in traffic.answers if answer["model_version"] == "2"}
        return max(at - since for id, at in traffic.received if id in mine and at < stopped)


def measure() -> Iterator[Figure]:
    """All four."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder, start_service(Path(folder), workers=2) as service:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        service.deploy("1")
        failing = [_failing(service, number) for number in range(TIMES)]
        aborted, back = zip(*(_by_hand(service, number) for number in range(TIMES)), strict=True)
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        gone = _controller_gone(Path(folder))
    how = f"two workers; median of {TIMES}; to the last answer that a caller got from the candidate"
    yield Figure(
        SECTION,
        "every canary request fails: all on blue",
        statistics.median(failing),
        "s",
        f"50 canary requests a second, two workers; median of {TIMES}; from the first such answer to the last",
    )
    yield Figure(SECTION, "abort by hand: all on blue", statistics.median(aborted) * 1e3, "ms", how)
    yield Figure(SECTION, "rollback after the switch: all on the one before", statistics.median(back) * 1e3, "ms", how)
    yield Figure(SECTION, "controller stopped: all on blue", gone, "s", "two workers, the shipped lease, once")


def main() -> int:
    """The command."""
    from benchmarks.report import machine, markdown

    print(markdown(list(measure()), machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

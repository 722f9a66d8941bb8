"""python -m benchmarks.serving.load [--requests N --swaps N --reloads N --kills N]: does a swap ever cost a request?

Version after version is rolled out through every weight step under steady traffic, while workers are reloaded and
killed with SIGKILL. failed: requests not answered 2xx after the client's one retry on a reset. Raw resets are told too,
those that a SIGKILL explains apart. Ends with code 1 when a request failed or something else reset a connection.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.serving import bundle
from benchmarks.serving.client import Clients, Result, encode
from fx_serving.client.home import Stores
from tests.servers.serving import Service, start_service, wait_until

STEPS = [5, 25, 50, 100]
# The gates that compare distributions or need long windows have their own benchmark; here every step must pass quickly.
POLICY = {
    "steps": STEPS,
    "window_s": 0.2,
    "min_requests": 3,
    "suite_cases": 4,
    "max_p99_ms": 2000,
    "max_latency_ratio": None,
    "max_distribution_shift": None,
    "hold_timeout_s": 60,
}
SWAP_S = 60.0
# A connection to a killed worker is reset when it is next used: each of them is used many times in this time.
OF_A_KILL_S = 1.0


@dataclass
class Report:
    """What happened. resets: by cause; not_succeeded: rollouts that ended otherwise, with their reasons."""

    result: Result = field(default_factory=Result)
    swaps: int = 0
    reloads: int = 0
    kills: list[float] = field(default_factory=list)
    weights: set[float] = field(default_factory=set)
    not_succeeded: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(self.result.failed.values())

    @property
    def resets(self) -> dict[str, int]:
        """Resets by cause: sigkill, other."""
        killed = sum(any(0 <= at - kill <= OF_A_KILL_S for kill in self.kills) for at in self.result.resets)
        return {"sigkill": killed, "other": len(self.result.resets) - killed}

    def lines(self) -> list[str]:
        """The report for people."""
        result, resets = self.result, self.resets
        return [
            f"{result.requests:,} requests in {result.seconds:.0f} s ({result.per_second:.0f}/s), {self.failed} failed",
            *(f"  {number} x {what}" for what, number in result.failed.most_common(10)),
            f"{self.swaps} swaps through the weights {', '.join(f'{w:g} %' for w in sorted(self.weights))}",
            f"{self.reloads} worker reloads, {len(self.kills)} worker SIGKILLs",
            f"raw resets: {resets['sigkill']} from SIGKILLs, {resets['other']} from anything else",
            f"latency: median {result.quantile_ms(0.5):.2f} ms, 99th percentile {result.quantile_ms(0.99):.2f} ms, "
            f"worst {result.quantile_ms(1):.0f} ms",
            *(f"rollout not succeeded: {reason}" for reason in self.not_succeeded),
        ]


def run(
    home: Path,
    requests: int = 100_000,
    swaps: int = 100,
    reloads: int = 3,
    kills: int = 10,
    per_second: float = 350.0,
    workers: int = 2,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Roll versions out under load until there were enough swaps and requests; disturb `reloads` + `kills` of them."""
    stores, report = Stores(home), Report()
    bundle.publish(stores)
    bundle.export(stores, "1", seed=1)
    bundle.export(stores, "2", seed=2)
    settings = {"lease": {"renew_s": 0.5, "expire_s": 5}, "keep_hot_s": 3600}
    with start_service(home, workers=workers, policy=POLICY, settings=settings) as service:
        service.deploy("1", timeout_s=SWAP_S)
        bodies = [encode("/predict", {"instrument": name}) for name in bundle.INSTRUMENTS]
        clients = Clients(service.url, lambda n: bodies[n % len(bodies)], connections=16)
        enough = threading.Event()
        coroutine = clients.paced(per_second, lambda number: enough.is_set() and number >= requests)
        traffic = threading.Thread(target=uvloop.run, args=(coroutine,))
        traffic.start()
        try:
            _swap_all(service, report, swaps, reloads, kills, tell)
        finally:
            enough.set()
            traffic.join()
    report.result = clients.result
    return report


def _swap_all(
    service: Service, report: Report, swaps: int, reloads: int, kills: int, tell: Callable[[str], None]
) -> None:
    disturbances = ["kill"] * kills
    for number in range(reloads):
        disturbances.insert(int((number + 0.5) * (len(disturbances) + 1) / reloads), "reload")
    # Spread over the swaps, at most one in each.
    places = {int((k + 0.5) * swaps / len(disturbances)): what for k, what in enumerate(disturbances)}
    attempt = 0
    while report.swaps < swaps and attempt < swaps + 20:
        version = "2" if service.client.traffic()["models"][bundle.MODEL]["blue"]["version"] == "1" else "1"
        started = service.client.start_rollout(bundle.MODEL, version)
        if report.swaps in places:
            _disturb(service, report, started["id"], places.pop(report.swaps), STEPS[attempt % len(STEPS)])
        done = service.client.wait_rollout(started["id"], SWAP_S, poll_s=0.05)
        attempt += 1
        if done["state"] == "succeeded":
            report.swaps += 1
            report.weights |= {step["weight"] for step in done["steps"]}
        else:
            report.not_succeeded.append(f"{done['state']}: {done['reason']}")
        if report.swaps % 10 == 0:
            tell(f"{report.swaps} of {swaps} swaps")


def _disturb(service: Service, report: Report, rollout: str, what: str, weight: float) -> None:
    """Reload all workers or kill one of them, at a step of the rollout."""

    def at_the_step() -> Any:
        now = service.client.rollout(rollout)
        return now["finished_at"] or now["weight"] >= weight

    wait_until(at_the_step, SWAP_S, every_s=0.01)
    before = service.worker_pids()
    if what == "reload":
        os.kill(service.process.pid, signal.SIGHUP)
        wait_until(lambda: not set(before.values()) & set(service.worker_pids().values()), 60)
        report.reloads += 1
        return
    victim = sorted(before)[len(report.kills) % len(before)]
    os.kill(before[victim], signal.SIGKILL)
    report.kills.append(time.monotonic())
    wait_until(lambda: service.worker_pids().get(victim) not in (None, before[victim]), 30)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.load", description=__doc__)
    for name, default in (("requests", 100_000), ("swaps", 100), ("reloads", 3), ("kills", 10), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--per-second", type=float, default=350.0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fx-load-") as folder:
        report = run(Path(folder), **vars(chosen), tell=lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join(report.lines()))
    return 1 if report.failed or report.resets["other"] else 0


if __name__ == "__main__":
    sys.exit(main())

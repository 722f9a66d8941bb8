"""python -m benchmarks.serving.overload: what three times more requests than one worker can answer do to it.

First the capacity (16 connections that ask again at once), then three times as many a second from many connections: the
latency of what is accepted, counted from when it was sent, and what the rest is told. Ends with code 1 when the 99th
percentile of the accepted is above 50 ms, or anything but 200 and 429 was answered.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.serving import bundle
from benchmarks.serving.client import Clients, Result, encode, run_closed
from fx_serving.client.home import Stores
from tests.servers.serving import start_service

GOAL_MS = 50.0
CONNECTIONS = 192
FACTOR = 3


@dataclass
class Overload:
    """capacity: requests a second at 16 connections; result: of the overload."""

    capacity: float
    result: Result

    @property
    def accepted_p99_ms(self) -> float:
        ordered = sorted(self.result.accepted)
        return ordered[int(0.99 * len(ordered))] * 1e3 if ordered else float("nan")

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.accepted_p99_ms <= GOAL_MS and set(self.result.statuses) == {200, 429} and not self.result.resets

    def lines(self) -> list[str]:
        """The report for people."""
        statuses, seconds = self.result.statuses, self.result.seconds
        return [
            f"capacity of one worker: {self.capacity:.0f} requests/s",
            f"offered: {self.result.requests / seconds:.0f}/s over {CONNECTIONS} connections for {seconds:.0f} s",
            f"accepted: {statuses[200] / seconds:.0f}/s, 99th percentile {self.accepted_p99_ms:.1f} ms "
            f"(goal: at most {GOAL_MS:g} ms)",
            f"refused with 429: {statuses[429]:,} of {self.result.requests:,}; "
            f"anything else: {sum(n for status, n in statuses.items() if status not in (200, 429))}, "
            f"resets: {len(self.result.resets)}",
        ]


class _Sent(Clients):
    """Latency from when a request is sent: a client that is late itself is not the service's slowness."""

    async def _paced(self, first: int, per_second: float, started: float, stop: Callable[[int], bool]) -> None:
        connection, number = None, first
        while not stop(number):
            if (ahead := started + number / per_second - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            connection = await self._one(connection, number, time.perf_counter())
            number += self.connections


def run(home: Path, seconds: float = 10.0, capacity_requests: int = 10_000) -> Overload:
    """Measure on a fresh home."""
    stores = Stores(home)
    bundle.publish(stores)
    bundle.export(stores, "1", seed=1)
    with start_service(home, workers=1) as service:
        service.deploy("1")
        requests = [encode("/predict", {"instrument": name}) for name in bundle.INSTRUMENTS]
        capacity = run_closed(service.url, requests, 16, capacity_requests).per_second
        clients = _Sent(service.url, lambda n: requests[n % len(requests)], CONNECTIONS)
        end = time.perf_counter() + seconds
        result = uvloop.run(clients.paced(FACTOR * capacity, lambda _: time.perf_counter() > end))
    return Overload(capacity, result)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder))
    print("\n".join(found.lines()))
    return 0 if found.met else 1


if __name__ == "__main__":
    sys.exit(main())

"""python -m benchmarks.serving.swap: loading a version, switching to it, going back; start and memory of a worker."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import uvloop

from benchmarks.report import Figure
from benchmarks.serving import bundle
from benchmarks.serving.goals import SECTION, SETTINGS
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient
from fx_serving.config import ServingConfig
from fx_serving.dataplane.bundles import load_bundle
from fx_serving.dataplane.slots import SlotManager
from fx_serving.routing import GreenRoute, ModelRoute, RoutingTable, Standby, write_routing
from tests.servers.serving import start_service, wait_until

TIMES = 25
TICK_S = 0.0005


class _Held:
    """The longest time for which an event loop kept something waiting that was due: on the wall, and of processor
    time, which does not count a busy neighbour. A timer, not an endless loop: that would itself take the processor that
    the threads and processes beside it need.
    """

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            due, cpu = time.perf_counter() + TICK_S, time.thread_time()
            await asyncio.sleep(TICK_S)
            self.wall = max(self.wall, time.perf_counter() - due)
            self.cpu = max(self.cpu, time.thread_time() - cpu)


async def _switches(stores: Stores) -> tuple[list[_Held], list[float]]:
    """How the loop was held by making a green blue, and seconds of a whole return to the standby."""
    manager, counter = SlotManager(stores, ServingConfig()), 0
    held: list[_Held] = []
    back: list[float] = []

    async def follow(route: ModelRoute) -> float:
        nonlocal counter
        counter += 1
        write_routing(
            stores.routing,
            RoutingTable(generation=counter, counter=counter, models={bundle.MODEL: route}),
            durable=False,
        )
        started = time.perf_counter()
        await manager.poll()
        return time.perf_counter() - started

    until = datetime.now(UTC) + timedelta(hours=1)
    blue, green = "1", "2"
    await follow(ModelRoute(blue=blue))
    for number in range(TIMES):
        await follow(ModelRoute(blue=blue, green=GreenRoute(version=green, weight=100.0, rollout_id=f"r{number}")))
        watch = _Held()
        task = asyncio.create_task(watch.watch())
        await asyncio.sleep(0.01)
        await follow(ModelRoute(blue=green, standby=Standby(version=blue, until=until)))
        task.cancel()
        held.append(watch)
        back.append(await follow(ModelRoute(blue=blue, standby=Standby(version=green, until=until))))
        assert manager.current.models[bundle.MODEL].blue.version == blue  # type: ignore[union-attr]
        await follow(ModelRoute(blue=blue))
    return held, back


def measure() -> Iterator[Figure]:
    """Swap, start and memory."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        stores = Stores(Path(folder))
        bundle.publish(stores)
        for version, seed in (("1", 1), ("2", 2)):
            bundle.export(stores, version, seed)
        loads = []
        for _ in range(TIMES):
            started = time.perf_counter()
            load_bundle(stores.bundles, bundle.MODEL, "1")
            loads.append(time.perf_counter() - started)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as a worker runs
            held, back = runner.run(_switches(stores))
        stores.routing.unlink()
        with start_service(stores.home, workers=1, settings=SETTINGS) as service:
            service.deploy("1")
        started_in = [_start(stores, service.environment) for _ in range(3)]
    how = f"median of {TIMES}, in a worker's own code"
    yield Figure(SECTION, "load, verify and warm a bundle", statistics.median(loads) * 1e3, "ms", how)
    for name, found in (
        ("switch green to blue", [watch.cpu for watch in held]),
        ("switch green to blue, on the wall", [watch.wall for watch in held]),
    ):
        longest = statistics.median(found) * 1e3
        yield Figure(
            SECTION, name, longest, "ms", f"{how}: longest the event loop is held, golden rows checked beside it"
        )
    yield Figure(SECTION, "back to the standby", statistics.median(back) * 1e3, "ms", f"{how}: table read and applied")
    seconds, memory = (statistics.median(found) for found in zip(*started_in, strict=True))
    yield Figure(SECTION, "start to ready", seconds, "s", "median of 3 `fx serve` with a deployed model")
    yield Figure(SECTION, "memory of a worker", memory, "MiB", "proportional set size after its first answer")


def _start(stores: Stores, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds from the start of `fx serve` until it is ready, and a worker's memory in MiB after its first answer."""
    stores.address.unlink(missing_ok=True)
    command = [sys.executable, "-m", "fx_serving.cli", "serve"]
    begun = time.perf_counter()
    with (stores.home / "start.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=stores.home, stdout=log, stderr=log)
    try:
        url = wait_until(lambda: msgspec.json.decode(stores.address.read_bytes())["url"], 30, every_s=0.005)
        wait_until(lambda: httpx.get(f"{url}/ready", trust_env=False).status_code == 200, 30, every_s=0.005)
        seconds = time.perf_counter() - begun
        with ServingClient(url) as client:
            client.predict(bundle.INSTRUMENTS[0])
        worker = msgspec.json.decode((stores.workers / "w0.json").read_bytes())["pid"]
        found = psutil.Process(worker).memory_full_info()
        return seconds, getattr(found, "pss", found.uss) / 2**20
    finally:
        process.terminate()
        process.wait(30)


def main() -> int:
    """The command."""
    from benchmarks.report import machine, markdown

    print(markdown(list(measure()), machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

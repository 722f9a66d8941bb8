"""python -m benchmarks.serving.goals: what one worker's answer costs, how many it gives, and how long they take.

Predictions with features of the feature store, 50 of them; every answer is logged. The client is another process.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.report import Figure
from benchmarks.serving import bundle
from benchmarks.serving.client import Result, encode, run_closed, run_paced
from fx_serving.client.home import Stores
from tests.servers.serving import Service, start_service

SECTION = "serving"
ROUNDS = 3
WARM_UP, REQUESTS = 1000, 6000
# The workers' own admission limit is not what is measured here.
SETTINGS = {"limits": {"max_concurrent": 256}}


@contextmanager
def one_worker() -> Iterator[tuple[Service, psutil.Process]]:
    """A service of one worker with the model deployed and its features published, and that worker's process."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        stores = Stores(Path(folder))
        bundle.publish(stores)
        bundle.export(stores)
        with start_service(stores.home, workers=1, settings=SETTINGS) as service:
            service.deploy("1")
            yield service, psutil.Process(service.worker_pids()["w0"])


@contextmanager
def clients() -> Iterator[Callable[..., Result]]:
    """Runs a function of `client` in a process of its own, so that its work is not the measured server's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def cpu_seconds(*processes: psutil.Process) -> float:
    """User and system time that the processes have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def checked(result: Result) -> Result:
    """The result; AssertionError where a request was not answered 200: then speed says nothing."""
    assert not result.failed, result.failed
    return result


def measure() -> Iterator[Figure]:
    """CPU, throughput and latency."""
    requests = [encode("/predict", {"instrument": name}) for name in bundle.INSTRUMENTS]
    costs: dict[int, list[float]] = {1: [], 16: []}
    rates: list[float] = []
    paced: list[Result] = []
    with one_worker() as (service, worker), clients() as run:
        run(run_closed, service.url, requests, 16, WARM_UP)
        for _ in range(ROUNDS):
            for connections, found in costs.items():
                before = cpu_seconds(worker)
                result = checked(run(run_closed, service.url, requests, connections, REQUESTS))
                found.append((cpu_seconds(worker) - before) / REQUESTS * 1e6)
            rates.append(result.per_second)
            paced.append(checked(run(run_paced, service.url, requests, 8, 200.0, 10.0)))
    how = f"one worker, {bundle.FEATURES} features, {bundle.ROUNDS} trees, median of {ROUNDS} x {REQUESTS:,} requests"
    yield Figure(SECTION, "CPU a prediction", statistics.median(costs[16]), "us", f"{how}, 16 connections")
    yield Figure(SECTION, "CPU a prediction, one by one", statistics.median(costs[1]), "us", f"{how}, one connection")
    yield Figure(SECTION, "throughput", statistics.median(rates), "requests/s", f"{how}, 16 connections")
    for q in (0.5, 0.99):
        yield Figure(
            SECTION,
            f"latency p{q * 100:g} at 200/s",
            statistics.median(result.quantile_ms(q) for result in paced),
            "ms",
            f"one worker, 8 connections, {ROUNDS} x 10 s, from when a request was due",
        )


def main() -> int:
    """The command."""
    from benchmarks.report import machine, markdown

    print(markdown(list(measure()), machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

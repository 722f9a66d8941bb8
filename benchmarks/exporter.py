"""The exporter over a home of a busy day: how long a scrape takes while collectors work, and what collecting costs."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.prediction_log import record
from benchmarks.report import Figure, seconds
from fx_assets.stack.ports import free_port

SECTION = "exporter"
PREDICTIONS, RUNS, SCRAPES = 100_000, 10_000, 200
TABLES = [["silver", "candles"], ["silver", "technical"], ["gold", "features"], ["gold", "labels"], ["a"], ["b"]]


def measure() -> Iterator[Figure]:
    """One home with 100,000 predictions and 10,000 runs in the last day; wall time of scrapes by one client."""
    from tests.servers.monitored import CLOCK, MonitoredHome

    before = os.environ.get("FX_CLOCK")
    os.environ["FX_CLOCK"] = CLOCK
    try:
        with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
            home = MonitoredHome(Path(name))
            add_predictions(home.stores.predictions)
            add_runs(home.instance)
            yield from scrapes(home)
            home.instance.dispose()
    finally:
        os.environ.pop("FX_CLOCK") if before is None else os.environ.update(FX_CLOCK=before)


def scrapes(home: Any) -> Iterator[Figure]:
    """Scrapes of the real process as Prometheus makes them: at its own pace, and while every collector works on end."""
    from fx_monitoring.exporter.background import Background
    from fx_monitoring.exporter.collectors import build

    how = f"home with {PREDICTIONS:,} predictions and {RUNS:,} runs of a day; {SCRAPES} scrapes, one client"
    with running(home.stores.home) as client:
        taken = timed(client)
        size = len(client.get("/metrics").content)
    yield Figure(SECTION, "scrape, median", 1e3 * statistics.median(taken), "ms", how)
    yield Figure(SECTION, "scrape, slowest", 1e3 * max(taken), "ms", how)
    yield Figure(SECTION, "size of a scrape", size / 1e3, "kB", how)
    with running(home.stores.home, "--every", "0.05") as client:
        taken = timed(client)
    told = f"{how}; every collector at work all the time"
    yield Figure(SECTION, "scrape meanwhile, 95 of 100", 1e3 * sorted(taken)[len(taken) * 95 // 100], "ms", told)
    yield Figure(SECTION, "scrape meanwhile, slowest", 1e3 * max(taken), "ms", told)
    costs = {}
    for collector in build(home.stores, home.configuration):
        work = Background(collector)
        work.once()  # what is read once and kept
        costs[collector.name] = seconds(work.once)
    dearest = max(costs, key=lambda name: costs[name])
    yield Figure(
        SECTION, f"dearest collector ({dearest}), CPU", 1e3 * costs[dearest], "ms", "one attempt of a running one"
    )
    yield Figure(SECTION, "all collectors once, CPU", 1e3 * sum(costs.values()), "ms", how.partition(";")[0])


@contextlib.contextmanager
def running(home: Path, *options: str) -> Iterator[httpx.Client]:
    """The exporter's process, when all of its collectors have answered once."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "fx_monitoring.exporter", "--port", url.rpartition(":")[2], *options]
    process = subprocess.Popen(command, env={**os.environ, "FX_HOME": str(home)}, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").json()["status"] == "ok":
                        break
                time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def timed(client: httpx.Client) -> list[float]:
    """Seconds of each scrape."""
    taken = []
    for _ in range(SCRAPES):
        started = time.perf_counter()
        client.get("/metrics").raise_for_status()
        taken.append(time.perf_counter() - started)
    return taken


def add_predictions(folder: Path) -> None:
    """A day's log, in the segments and in the database."""
    from fx_serving.config import LogSettings
    from fx_serving.dataplane.log import PredictionLogWriter
    from fx_serving.ingest.ingester import Ingester
    from fx_serving.ingest.sqlite import SqliteDatabase

    log = PredictionLogWriter(folder, "w0", flush_ms=1000)
    features: Any = msgspec.Raw(msgspec.json.encode({f"feature_{n}": n / 7 for n in range(20)}))
    for number in range(PREDICTIONS):
        log.add(msgspec.json.encode(record(number, features)))
    log.stop()
    database = SqliteDatabase(folder / "predictions.db")
    ingester = Ingester(folder, database, LogSettings())
    while ingester.step().more:
        pass
    database.close()


def add_runs(instance: Any) -> None:
    """Ended runs as rows of Dagster's own tables: ten thousand real ones would take an hour."""
    import sqlalchemy
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from dagster._core.storage.runs.schema import RunsTable

    now = datetime.now(UTC).replace(tzinfo=None)
    runs, events = [], []
    for number in range(RUNS):
        ended = now - timedelta(seconds=86_000 * number / RUNS)
        stamp = ended.replace(tzinfo=UTC).timestamp()
        run = f"bench-{number:06d}"
        good = number % 50 > 0
        runs.append(
            {
                "run_id": run, "pipeline_name": f"job_{number % 12}", "status": "SUCCESS" if good else "FAILURE",
                "run_body": "{}" + " " * 3000, "create_timestamp": ended, "update_timestamp": ended,
                "start_time": stamp - 20, "end_time": stamp,
            }
        )  # fmt: skip
        for key in TABLES:
            for kind in ("ASSET_MATERIALIZATION_PLANNED", *(("ASSET_MATERIALIZATION",) if good else ())):
                events.append(
                    {
                        "run_id": run, "event": "{}" + " " * 800, "dagster_event_type": kind, "timestamp": ended,
                        "step_key": "__".join(key), "asset_key": msgspec.json.encode(key).decode(),
                    }
                )  # fmt: skip
    with instance.run_storage.connect() as connection:
        connection.execute(sqlalchemy.insert(RunsTable), runs)
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(sqlalchemy.insert(SqlEventLogStorageTable), events)

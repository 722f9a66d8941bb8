"""One data-plane process: python -m fx_serving.dataplane.worker --id w0 --fd N --parent PID --home DIR."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from fx_serving.access.guard import Guard
from fx_serving.access.perimeter import Perimeter
from fx_serving.access.protocol import bounded
from fx_serving.access.tls import uvicorn_options
from fx_serving.client import clock, tracing
from fx_serving.client.blob_store import open_blobs
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig, load_config
from fx_serving.dataplane import metrics as metric_files
from fx_serving.dataplane.admission import AdmissionProtocol, Admitted, Gate, admitting
from fx_serving.dataplane.app import build_app
from fx_serving.dataplane.asgi import HotRoutes
from fx_serving.dataplane.drain import DrainingServer
from fx_serving.dataplane.explain import Explainer
from fx_serving.dataplane.feedback import FeedbackDesk
from fx_serving.dataplane.forward import ControllerLink
from fx_serving.dataplane.health import HealthDesk, newest_age
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.predictor import Predictor
from fx_serving.dataplane.slots import SlotManager
from fx_serving.dataplane.snapshots import FeatureSnapshots
from fx_serving.dataplane.stream import PredictionStream
from fx_serving.processes import leave_with_parent, open_many_files, setup_logging

log = logging.getLogger("fx_serving.worker")


class Worker:
    """The parts of a worker and their background tasks."""

    def __init__(self, stores: Stores, worker: str, config: ServingConfig) -> None:
        self.stores, self.name, self.config = stores, worker, config
        self.gate = Gate(config.limits.max_concurrent)
        self.guard = Guard(stores, config)
        self.metrics = metric_files.Metrics(stores.evidence / f"{worker}.json")
        self.snapshots = FeatureSnapshots(open_blobs(stores, config.feature_blobs))
        self.slots = SlotManager(stores, config)
        self.log = PredictionLogWriter(stores.predictions, worker, config.log_flush_ms)
        self.predictor = Predictor(self.slots, self.snapshots, self.log, self.metrics, config)
        self.controller = ControllerLink(stores.controller)
        self.explainer = Explainer(stores.bundles)
        self.stream = PredictionStream(stores.predictions, config.limits.streams)
        self.health = HealthDesk(stores, self.slots, self.snapshots, self.log, self.stream, self.predictor.limits)
        feedback = FeedbackDesk(stores.predictions, self.log, self.predictor.recent, config.feedback.late_after_s)
        app = build_app(stores, worker, self.health, feedback, self.controller, self._lifespan)
        hot = HotRoutes(app, self.predictor, self.metrics, self.explainer, config.limits)
        self.asgi = Admitted(Perimeter(hot, self.guard, self.metrics.refused), self.gate)
        self._weights: dict[tuple[str, str, str], float] = {}

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        # Read everything once before the first connection is accepted: a restarted worker answers at once.
        await self.snapshots.poll()
        await self.slots.poll()
        self.stream.leaving = self.gate.leaving
        loops = (
            self.snapshots.run,
            self.slots.run,
            self.metrics.run,
            self.predictor.shadow.run,
            self.guard.run,
            self._heartbeat,
            self._gauges,
            self._leaving,
        )
        tasks = [asyncio.create_task(_for_ever(work)) for work in loops]
        # What is loaded now stays: looking through it again and again would be the longest pause of all.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.slots.stop()
            await self.explainer.stop()
            await self.controller.close()
            await asyncio.to_thread(self.log.stop)
            with contextlib.suppress(OSError):
                self.metrics.write()
            self._status_path.unlink(missing_ok=True)

    @property
    def _status_path(self) -> Path:
        return self.stores.workers / f"{self.name}.json"

    async def _leaving(self) -> None:
        """From the moment the worker drains it says that it is not ready."""
        await self.gate.leaving.wait()
        self.health.leaving = True
        await asyncio.Event().wait()

    async def _heartbeat(self) -> None:
        """Tell the controller which table is applied: at once when it changes, and once a second."""
        last, written = None, 0.0
        while True:
            current = self.slots.current
            if current is not last or time.monotonic() - written > 1.0:
                status = {
                    "pid": os.getpid(),
                    "applied_version": current.generation,
                    "errors": dict(current.errors),
                    "heartbeat": datetime.now(UTC),
                    "sidecars": [s.green.sidecar.pid for s in current.models.values() if s.green],
                }
                content = msgspec.json.encode(status)
                await asyncio.to_thread(atomic_write, self._status_path, content, durable=False)
                last, written = current, time.monotonic()
            await asyncio.sleep(0.05)

    async def _gauges(self) -> None:
        while True:
            now, live = clock.now(), self.slots.live()
            for (view, instrument), rows in self.snapshots.held.items():
                age = newest_age(rows, now)
                if age is not None:
                    self.metrics.feature_age.labels(view, instrument).set(age)
            weights: dict[tuple[str, str, str], float] = {}
            for model, slots in self.slots.current.models.items():
                share = slots.green.route.weight if slots.green and live else 0.0
                self.metrics.rollout.labels(model).set(slots.green is not None)
                if slots.green:
                    weights[model, slots.green.route.version, "green"] = share
                if slots.blue:
                    weights[model, slots.blue.version, "blue"] = 100.0 - share
            for labels in self._weights.keys() - weights.keys():
                weights[labels] = 0.0
            for labels, weight in weights.items():
                self.metrics.weight.labels(*labels).set(weight)
            self._weights = weights
            self.metrics.in_flight.set(self.gate.inside)
            self.metrics.lease.set(live)
            self.metrics.store_degraded.set(self.snapshots.problem is not None)
            self.metrics.log_degraded.set(self.log.problem is not None)
            self.metrics.log_waiting.set(self.log.waiting)
            await asyncio.sleep(1.0)


async def _for_ever(work: Any) -> None:
    """Run a background loop; an unexpected error is logged and the loop begun again, never silently ended."""
    while True:
        try:
            coroutine: Coroutine[Any, Any, None] = work()
            await coroutine
        except Exception:
            log.exception("background task %s failed; it goes on", work.__qualname__)
            await asyncio.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    setup_logging(options.id)
    open_many_files()
    tracing.start("fx-worker")
    stores = Stores(options.home)
    config = load_config(options.home)
    # What the command line of `fx serve` changed of the settings.
    said = {"host": options.host or config.host, "workers": options.workers or config.workers}
    config = config.model_copy(update=said)
    metric_files.configure(stores.metrics, options.id)
    worker = Worker(stores, options.id, config)
    listening = socket.socket(fileno=options.fd)
    server = DrainingServer(
        uvicorn.Config(
            worker.asgi,
            loop="uvloop",
            http=bounded(config, admitting(worker.gate, AdmissionProtocol)),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here goes by the asker's address
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
            **uvicorn_options(config.access),
        ),
        worker.gate,
        config.limits.drain_s,
    )
    leave_with_parent(options.parent, server)
    server.run(sockets=[listening])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

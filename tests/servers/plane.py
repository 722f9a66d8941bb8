"""The data plane alone: one real worker process, and routing tables that the test itself publishes.

with start_plane(home) as plane:
    plane.route(move_60m=ModelRoute(blue="1"))
    plane.predict("GBP_USD")
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml

from fx_serving.access.internal import bearer, write_internal_key
from fx_serving.client.home import Stores
from fx_serving.evidence import SlotEvidence, read_evidence
from fx_serving.routing import ModelRoute, RoutingTable, write_routing
from tests.servers.serving import ROOT, wait_until


class Plane:
    """A running worker. The lease is renewed until `hold_lease` is cleared."""

    def __init__(self, home: Path, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.stores = Stores(home)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.table = RoutingTable(generation=1, counter=1, models={})
        self.hold_lease = threading.Event()
        self.hold_lease.set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.controllers_own = {"authorization": bearer(write_internal_key(self.stores.internal_key))}
        path = home / "config" / "serving.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"lease": {"renew_s": 0.1, "expire_s": 2}, **settings}))
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("FX_", "PROMETHEUS_"))}
        variables |= {"FX_HOME": str(home), "PYTHONPATH": str(ROOT), "FX_CLOCK": "2022-03-04T22:00:00Z", **environment}
        self._variables = variables
        self._publish()
        self._renewing = threading.Thread(target=self._renew)
        self._renewing.start()
        self.process = self.start()

    def start(self) -> subprocess.Popen:
        """The worker's process (again)."""
        command = [sys.executable, "-m", "fx_serving.dataplane.worker", "--id", "w0"]
        command += [
            "--fd",
            str(self._listening.fileno()),
            "--parent",
            str(os.getpid()),
            "--home",
            str(self.stores.home),
        ]
        with open(self.stores.home / "worker.log", "ab") as log:
            self.process = subprocess.Popen(
                command, env=self._variables, pass_fds=[self._listening.fileno()], stdout=log, stderr=log
            )
        return self.process

    def _publish(self) -> None:
        write_routing(self.stores.routing, self.table, durable=False)

    def _renew(self) -> None:
        while not self._stop.wait(0.1):
            if self.hold_lease.is_set():
                with self._lock:
                    self.table = msgspec.structs.replace(self.table, counter=self.table.counter + 1)
                    self._publish()

    def route(self, wait: bool = True, term: int | None = None, **models: ModelRoute) -> None:
        """Publish these routes (of the same term as before), and wait until they are applied and the lease is held."""
        with self._lock:
            generation, term = self.table.generation + 1, self.table.term if term is None else term
            self.table = msgspec.structs.replace(self.table, generation=generation, models=models, term=term)
            self._publish()
        if wait:
            wait_until(lambda: self.traffic()["generation"] == generation, 120)
            wait_until(lambda: self.traffic()["lease"] == "held")

    def listens(self) -> bool:
        """Whether the worker answers; AssertionError with its log where it has ended."""
        assert self.process.poll() is None, (self.stores.home / "worker.log").read_text()
        return self.http.get("/health", timeout=5).status_code == 200

    def traffic(self) -> dict[str, Any]:
        return self.http.get("/traffic").raise_for_status().json()

    def predict(self, instrument: str = "GBP_USD", path: str = "/predict", **body: Any) -> dict[str, Any]:
        return self.http.post(path, json={"instrument": instrument, **body}).raise_for_status().json()

    def evidence(self, model: str, version: str, slot: str) -> SlotEvidence:
        return read_evidence(self.stores.evidence).get((model, version, slot), SlotEvidence())

    def status(self) -> dict[str, Any]:
        return msgspec.json.decode((self.stores.workers / "w0.json").read_bytes())

    def stop(self) -> int:
        """End the worker as the supervisor does; its exit code."""
        self._stop.set()
        self._renewing.join()
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(120)
        finally:
            self._listening.close()


@contextlib.contextmanager
def start_plane(
    home: Path, settings: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Plane]:
    """A worker, stopped at the end."""
    plane = Plane(home, settings or {}, environment or {})
    try:
        wait_until(plane.listens)
        yield plane
    finally:
        plane.stop()

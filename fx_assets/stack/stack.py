"""The platform's services for one home: Dagster (UI, daemon, code servers), the deployment service, MLflow's UI, the
pricing stream where a source has one, and helpers without which the platform goes on (report service, exporter).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.live.streams import streamed
from fx_assets.stack import addresses
from fx_assets.stack.environment import ROOT, WORKSPACE, environment
from fx_assets.stack.ports import LOOPBACK
from fx_assets.stack.process import Process
from fx_assets.stack.supervised import Supervised
from fx_assets.storage.room import check_room
from fx_serving.client import databases
from fx_serving.client.home import Stores

STREAM_REFUSED = 3  # exit code of fx_assets.live.stream, which is too heavy to be imported here
READY_S = 300.0  # a slow or busy machine needs a minute for Dagster alone; one that has ended is noticed at once
PYTHON = [sys.executable, "-m"]


@dataclass(frozen=True)
class Ports:
    """Where each service listens; None leaves a service out."""

    dagster: int | None = 3000
    serving: int | None = 8700
    mlflow: int | None = 5000
    reports: int | None = None
    exporter: int | None = None


@dataclass
class Stack:
    """Services of one home. Use as a context manager: what was started is stopped, last first."""

    home: Path
    configuration: Configuration
    ports: Ports
    processes: list[Process] = field(default_factory=list)
    stream: Supervised | None = None
    helpers: list[Supervised] = field(default_factory=list)
    repairs: list[databases.Repair] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, str]:
        """Address by service."""
        named = {
            "Dagster UI": self.ports.dagster,
            "predictions": self.ports.serving,
            "MLflow": self.ports.mlflow,
            "reports": self.ports.reports,
            "metrics": self.ports.exporter,
        }
        return {name: f"http://{LOOPBACK}:{port}" for name, port in named.items() if port is not None}

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process of this stack."""
        return environment(self.home, self.configuration, self.addresses.get("predictions"))

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stopping:  # a second Ctrl-C cuts one short, not those after it
            for process in self.processes:
                stopping.callback(process.stop)
            if self.stream is not None:
                stopping.callback(self.stream.stop)
            for helper in self.helpers:
                stopping.callback(helper.stop)

    def start(self, on_start: Callable[[str], None] = lambda name: None) -> None:
        """Start everything at once; `wait_ready` waits for the answers. `repairs`: damaged files, mended first.

        Raises StoreError when the home's disk cannot take anything, FxError when Dagster cannot open its databases.
        """
        check_room(self.home)
        addresses.write(self.home, self.addresses)
        self.repairs = databases.repair(Stores(self.home), databases.PLATFORM)  # before anything opens them
        if self.ports.serving is not None:
            on_start("deployment service")
            self._start("serving", ["fx_serving.cli", "serve", "--port", str(self.ports.serving)])
        if self.ports.dagster is not None:
            on_start("Dagster")
            self._initialise()
            options = ["-w", str(WORKSPACE), "-h", LOOPBACK, "-p", str(self.ports.dagster), "--log-level", "warning"]
            self._start("dagster", ["dagster", "dev", *options])
        if streamed(self.configuration):
            on_start("pricing stream")
            self.stream = Supervised(lambda: self._process("stream", ["fx_assets.live.stream"]), {STREAM_REFUSED})
        if self.ports.mlflow is not None:
            on_start("MLflow")
            self._start_mlflow(self.ports.mlflow)
        if self.ports.reports is not None:
            on_start("report service")
            self._help("reports", ["fx_monitoring.reports", "--port", str(self.ports.reports)])
        if self.ports.exporter is not None:
            on_start("exporter")
            self._help("exporter", ["fx_monitoring.exporter", "--port", str(self.ports.exporter)])

    def wait_ready(self) -> None:
        """Wait until every service answers. Raises FxError with the end of the log of one that does not."""
        paths = {"serving": "/health", "dagster": "/server_info", "mlflow": "/health"}
        urls = {"serving": "predictions", "dagster": "Dagster UI", "mlflow": "MLflow"}
        for process in self.processes:
            process.wait_ready(self.addresses[urls[process.name]] + paths[process.name], READY_S)

    def ended(self) -> Process | None:
        """A service that has ended by itself; None while all are running."""
        return next((process for process in self.processes if not process.alive()), None)

    def look_after(self) -> str | None:
        """Start again what may fail without the platform ending; returns what a person should be told, if anything."""
        told = (watched.check() for watched in (*self.helpers, *([self.stream] if self.stream is not None else ())))
        return "\n".join(filter(None, told)) or None

    def _initialise(self) -> None:
        """Dagster's databases, made before several processes open them."""
        variables, command = {**os.environ, **self.environment}, [*PYTHON, "fx_assets.stack.initialise"]
        try:
            subprocess.run(command, env=variables, cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True)
        except subprocess.CalledProcessError as error:
            check_room(self.home)  # it would be the cause, whatever a database said about it
            told = "\n".join(error.stderr.splitlines()[-5:])
            raise FxError(
                f"{self.home / 'dagster'}: Dagster cannot open its databases (code {error.returncode}):\n{told}\n"
                "Mend what is said there (rights, the disk, dagster.yaml), or choose another --home, and run it again."
            ) from None

    def _start(self, name: str, module: list[str]) -> None:
        self.processes.append(self._process(name, module))

    def _help(self, name: str, module: list[str]) -> None:
        """A process that is started again when it ends, and that nobody waits for."""
        self.helpers.append(Supervised(lambda: self._process(name, module)))

    def _process(self, name: str, module: list[str], more: Mapping[str, str] | None = None) -> Process:
        variables = {**self.environment, **(more or {})}
        return Process(name, [*PYTHON, *module], variables, self.home / "logs" / f"{name}.log", ROOT)

    def _start_mlflow(self, port: int) -> None:
        from fx_assets.resources.tracking import tracking_uri

        folder = self.home / "mlflow"
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        # Not on its command line, which everybody on this machine can read: an address may hold a password.
        variables = {"MLFLOW_BACKEND_STORE_URI": tracking_uri(self.home)}
        options = ["--artifacts-destination", str(folder / "artifacts"), "--host", LOOPBACK, "--port", str(port)]
        self.processes.append(self._process("mlflow", ["mlflow", "server", *options, "--workers", "1"], variables))

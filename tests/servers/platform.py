"""The `fx` command and the whole platform for tests: real processes on temporary homes and free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from fx_assets.stack.ports import free_port
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient

ROOT = Path(__file__).resolve().parents[2]
#: The console script, by the interpreter that runs the tests: no PATH needed.
FX = [sys.executable, "-c", "from fx_serving.cli import main; main()"]


def environment(**more: str) -> dict[str, str]:
    """The tests' environment without what would point `fx` at another home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FX_", "PROMETHEUS_", "DAGSTER_HOME"))}
    # A terminal's width would wrap messages at places that differ from machine to machine.
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1", **more}


def fx(*arguments: str | Path, timeout_s: float = 400, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one `fx` command to its end; `more` are variables of its environment."""
    command = [*FX, *(str(a) for a in arguments)]
    return subprocess.run(
        command, env=environment(**more), cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below `pid`."""
    return psutil.Process(pid).children(recursive=True)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that only waits for its parent to take note of its end does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def command_of(process: psutil.Process) -> str:
    """Empty for one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@dataclass
class Platform:
    """A running `fx up`."""

    home: Path
    process: subprocess.Popen[str]
    dagster: str
    serving: str
    output: list[str] = field(default_factory=list)

    @property
    def stores(self) -> Stores:
        return Stores(self.home)

    def listening(self) -> set[str]:
        """The addresses on which `fx up` and everything below it listens now."""
        found = set()
        for process in (psutil.Process(self.process.pid), *descendants(self.process.pid)):
            with contextlib.suppress(psutil.Error):
                found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What another terminal needs to find this platform."""
        return {"FX_HOME": str(self.home), "FX_SERVING_URL": self.serving}

    def client(self, timeout_s: float = 20) -> ServingClient:
        return ServingClient(self.serving, timeout_s)

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of one query; asserts that there were no errors."""
        question = {"query": query, "variables": dict(variables or {})}
        answer = httpx.post(self.dagster + "/graphql", json=question, timeout=60, trust_env=False).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signal `fx up` by its pid and wait; returns its exit code. Nothing it started is left."""
        try:
            below = descendants(self.process.pid)
        except psutil.NoSuchProcess:
            below = []
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(120)
        _, left = psutil.wait_procs(below, timeout=30)
        left = living(left)
        for process in left:
            process.kill()
        assert not left, [p.pid for p in left]
        return code

    def kill(self) -> None:
        """SIGKILL to all of it, as by a power cut: nothing gets to say that it ends."""
        for process in (*reversed(descendants(self.process.pid)), psutil.Process(self.process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(120)


@contextlib.contextmanager
def start_platform(home: Path, *options: str, timeout_s: float = 400) -> Iterator[Platform]:
    """`fx up` on `home` and free ports, ready; stopped at the end."""
    dagster, serving = free_port(), free_port()
    ports = ["--dagster-port", str(dagster), "--serving-port", str(serving)]
    ports += ["--no-mlflow", "--no-reports", "--no-exporter"]
    command = [*FX, "up", "--home", str(home), *ports, *options]
    process = subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    platform = Platform(home, process, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{serving}")
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            platform.output.append(line)
            if line.startswith("ready"):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(timeout_s), "".join(platform.output)
        assert process.poll() is None, "".join(platform.output)
        yield platform
    finally:
        platform.stop()
        reader.join(60)
        assert process.stdout is not None
        process.stdout.close()

"""`fx serve`: one listening socket, the controller and the workers; restarts what dies; stops gracefully.

The socket belongs to this process and is inherited by the workers, so that connections waiting for a killed
worker are answered by another one, or by its successor.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from fx_serving.client.clock import to_iso
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.ports import StartError, listen

log = logging.getLogger("fx_serving.supervisor")

_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0
DRAIN_S = 15.0


class _Child:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, command: list[str], fds: list[int]) -> None:
        self.name, self.command, self.fds = name, command, fds
        self.process: subprocess.Popen | None = None
        self._started = 0.0
        self._failures = 0
        self._due = 0.0

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor only, which then lets its children finish their
        # work.
        self.process = subprocess.Popen(
            self.command, pass_fds=self.fds, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._started = time.monotonic()

    def keep(self) -> None:
        """Notice an end, and start again when the pause for it is over."""
        if self.process is not None and self.process.poll() is not None:
            now = time.monotonic()
            self._failures = 0 if now - self._started > _STEADY_S else self._failures + 1
            pause = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
            log.warning("%s ended (%s); restart in %g s", self.name, self.process.returncode, pause)
            self.process, self._due = None, now + pause
        if self.process is None and time.monotonic() >= self._due:
            self.start()


class Supervisor:
    """Runs the service of one home until told to stop. Raises StartError where it cannot start."""

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.stores, self.config = stores, config
        self._stopping = 0
        self._children: list[_Child] = []
        self._lock: IO[str] | None = None
        self.url = ""

    def run(self, announce: Callable[[str], None] = print) -> None:
        """Serve until SIGTERM or SIGINT; a second signal ends the children at once."""
        serving = self.stores.serving
        serving.mkdir(parents=True, exist_ok=True)
        self._lock = lock_home(serving / ".lock")
        listening = listen(self.config.host, self.config.port, bool(os.environ.get("FX_SERVING_TOKEN")))
        host, port = listening.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        for folder in (self.stores.metrics, self.stores.workers):
            shutil.rmtree(folder, ignore_errors=True)  # of the previous run
            folder.mkdir(parents=True)
        self.stores.controller.unlink(missing_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # Children are run by module name: make sure they find this code where it is not installed.
        root = str(Path(__file__).resolve().parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.stores.metrics)
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        common = ["--parent", str(os.getpid()), "--home", str(self.stores.home)]
        python = [sys.executable, "-m"]
        self._children = [_Child("controller", [*python, "fx_serving.controller.app", *common], [])]
        fd = listening.fileno()
        for i in range(self.config.workers):
            command = [*python, "fx_serving.dataplane.worker", "--id", f"w{i}", "--fd", str(fd), *common]
            self._children.append(_Child(f"w{i}", command, [fd]))
        try:
            for child in self._children:
                child.start()
            announce(f"serving on {self.url}  (documentation: {self.url}/docs, data: {self.stores.home})")
            self._watch()
        finally:
            self._stop()
            listening.close()
            self.stores.address.unlink(missing_ok=True)

    def _on_signal(self, *_: object) -> None:
        self._stopping += 1

    def _watch(self) -> None:
        written: dict[str, object] = {}
        while not self._stopping:
            for child in self._children:
                child.keep()
            address = self._address()
            if address != written:
                content = {**address, "started_at": to_iso(datetime.now(UTC))}
                atomic_write(self.stores.address, json.dumps(content, indent=2).encode())
                written = address
            time.sleep(0.05)

    def _address(self) -> dict[str, object]:
        try:
            controller = json.loads(self.stores.controller.read_bytes())["url"]
        except (OSError, ValueError, KeyError):
            controller = None
        return {"url": self.url, "pid": os.getpid(), "controller_url": controller}

    def _stop(self) -> None:
        alive = [c.process for c in self._children if c.process is not None and c.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + DRAIN_S
        while alive and time.monotonic() < deadline and self._stopping < 2:
            alive = [p for p in alive if p.poll() is None]
            time.sleep(0.02)
        for process in alive:
            log.warning("process %d did not stop in time; killed", process.pid)
            process.kill()
            process.wait()


def lock_home(path: Path) -> IO[str]:
    """Hold the home's lock for as long as the returned file is open. StartError naming the holder."""
    file = open(path, "a+")  # noqa: SIM115  (held open on purpose)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StartError(
            f"{path.parent}: another service (pid {holder}) already runs on this home. Stop it, or "
            "choose another "
            "home: fx serve --home DIR."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file

"""`fx serve`: one listening socket, the controller and the workers; restarts what dies; stops gracefully.

The socket belongs to this process and is inherited by the workers, so that connections waiting for a killed
worker are answered by another one, or by its successor. SIGHUP replaces the workers one by one (see reload.py).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from fx_serving.access import tls, tokens
from fx_serving.access.internal import write_internal_key
from fx_serving.children import Child
from fx_serving.client import databases
from fx_serving.client.clock import to_iso
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import ConfigError, ServingConfig, load_config
from fx_serving.ports import StartError, listen
from fx_serving.reload import Reload
from fx_serving.state.base import StateError
from fx_serving.state.open import open_state

log = logging.getLogger("fx_serving.supervisor")

# Beyond limits.drain_s: for the log, the sidecars and the process itself to end.
DRAIN_S = 10.0


class Supervisor:
    """Runs the service of one home until told to stop. Raises StartError where it cannot start."""

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.stores, self.config = stores, config
        self._stopping = 0
        self._reload_asked = False
        self._reload = Reload(stores)
        self._at_terminal = os.isatty(0)
        self._children: list[Child] = []
        self._workers: list[Child] = []
        self._lock: IO[str] | None = None
        self.url = ""

    def run(self, announce: Callable[[str], None] = print) -> None:
        """Serve until SIGTERM or SIGINT; a second signal ends the children at once."""
        serving = self.stores.serving
        serving.mkdir(parents=True, exist_ok=True)
        self._lock = lock_home(serving / ".lock")
        tls.check(self.config.access)
        for done in databases.repair(self.stores, databases.SERVICE):  # before anything opens them
            log.error("%s", done)
        has_token = self._publish_tokens() or bool(os.environ.get("FX_SERVING_TOKEN"))
        listening = listen(self.config.host, self.config.port, has_token)
        self.url = public_url(listening.getsockname(), bool(self.config.access.tls_cert))
        for folder in (self.stores.metrics, self.stores.workers, self.stores.evidence):
            shutil.rmtree(folder, ignore_errors=True)  # of the previous run
            folder.mkdir(parents=True)
        self.stores.controller.unlink(missing_ok=True)
        write_internal_key(self.stores.internal_key)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_reload)
        self._prepare_children(listening.fileno())
        try:
            for child in self._children:
                child.start()
            announce(f"serving on {self.url}  (documentation: {self.url}/docs, data: {self.stores.home})")
            self._watch()
        finally:
            self._stop()
            listening.close()
            self.stores.address.unlink(missing_ok=True)

    def _prepare_children(self, fd: int) -> None:
        # Children are run by module name: make sure they find this code where it is not installed.
        root = str(Path(__file__).resolve().parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.stores.metrics)
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        common = ["--parent", str(os.getpid()), "--home", str(self.stores.home)]
        python = [sys.executable, "-m"]
        # What the command line changed of the settings, which a worker reads from the file again.
        said = ["--host", self.config.host, "--workers", str(self.config.workers)]
        for i in range(self.config.workers):
            command = [*python, "fx_serving.dataplane.worker", "--id", f"w{i}", "--fd", str(fd), *said, *common]
            self._workers.append(Child(f"w{i}", command, [fd]))
        self._children = [Child("controller", [*python, "fx_serving.controller.app", *common], []), *self._workers]
        if self.config.log.ingest:
            self._children.append(Child("ingester", [*python, "fx_serving.ingest.app", *common], []))

    def _publish_tokens(self) -> bool:
        """Write the workers' file from the state store; whether any token was ever made."""
        try:
            state = open_state(self.stores)
            try:
                rows = state.tokens()
            finally:
                state.close()
        except StateError as error:
            # The database may come later; the workers go by what they were told last.
            log.warning("tokens are those of the last run: %s", error)
            return bool(tokens.read(self.stores.tokens))
        tokens.publish(self.stores.tokens, rows)
        return bool(rows)

    def _on_reload(self, *_: object) -> None:
        # The same signal tells that the terminal was closed: then the service ends with it, as any command does.
        if self._at_terminal and not os.isatty(0):
            self._stopping += 1
        else:
            self._reload_asked = True

    def _begin_reload(self) -> None:
        self._reload_asked = False
        try:
            fresh = load_config(self.stores.home)
            tls.check(fresh.access)
        except (ConfigError, StartError) as error:
            log.error("no reload: %s", error)
            return
        # The socket, the number of workers and the controller stay; a change of those needs a restart.
        self._reload.begin(self._workers, fresh.limits.drain_s + DRAIN_S)

    def _on_signal(self, *_: object) -> None:
        self._stopping += 1

    def _watch(self) -> None:
        written: dict[str, object] = {}
        while not self._stopping:
            for child in self._children:
                child.keep()
            if self._reload_asked:
                self._begin_reload()
            self._reload.step()
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
        deadline = time.monotonic() + self.config.limits.drain_s + DRAIN_S
        while alive and time.monotonic() < deadline and self._stopping < 2:
            alive = [p for p in alive if p.poll() is None]
            time.sleep(0.02)
        for process in alive:
            log.warning("process %d did not stop in time; killed", process.pid)
            process.kill()
            process.wait()


def public_url(address: tuple, encrypted: bool) -> str:
    """The URL by which this machine reaches a listening socket."""
    host, port = str(address[0]), address[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{'https' if encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


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
            f"{path.parent}: another service (pid {holder}) already runs on this home. Stop it, or choose another "
            "home: fx serve --home DIR."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file

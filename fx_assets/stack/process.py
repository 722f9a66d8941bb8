"""One child process: started with a log file of its own, waited for until it answers, stopped by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from fx_assets.errors import FxError
from fx_serving.client import log_reader, logs
from fx_serving.client.log_capture import Capture

STOP_S = 25.0


def _die_with_parent() -> None:
    """On Linux the child is told to stop when this process is gone, even by kill -9.

    And it listens: what a script starts in the background ignores SIGINT, by which Dagster stops its daemon.
    """
    import ctypes

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Process:
    """A running child. What it prints goes to `log`, as lines of JSON (docs/logs.md)."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path, cwd: Path):
        self.name = name
        self.log = log
        self._started = datetime.now(UTC)
        self._capture = Capture(log)
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._capture.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, logs.FORMAT: "json"},
            cwd=cwd,
            # A session of its own: Ctrl-C reaches only the parent, which stops the children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._capture.begin()

    @property
    def pid(self) -> int:
        return self.child.pid

    def alive(self) -> bool:
        """Whether the process is still running."""
        return self.child.poll() is None

    def wait_ready(self, url: str, timeout_s: float) -> None:
        """Wait until `url` answers with 2xx. Raises FxError with the end of the log when it does not."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.alive():
                raise FxError(f"{self.name} ended with code {self.child.returncode}:\n{self.tail()}\nLog: {self.log}")
            try:
                if httpx.get(url, timeout=2, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise FxError(f"{self.name} did not answer at {url} within {timeout_s:g} s:\n{self.tail()}\nLog: {self.log}")

    def tail(self, lines: int = 15) -> str:
        """The end of what it has logged since it was started."""
        if not self.alive():
            self._capture.finish()
        return log_reader.tail(self.log, lines, self._started)

    def stop(self) -> None:
        """SIGTERM, and after STOP_S seconds SIGKILL. What it started and left behind is ended too.

        Where the child was killed (kill -9, out of memory), its own children would otherwise live on: a daemon
        that nobody sees, and ports that stay taken.
        """
        deadline = time.monotonic() + STOP_S
        try:
            if self.alive():
                self.child.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.child.wait(STOP_S)
            if self._signal_group(signal.SIGTERM):
                while time.monotonic() < deadline and self._group_works():
                    time.sleep(0.05)
        finally:  # a second Ctrl-C cuts the patience short, and leaves nothing either
            self._signal_group(signal.SIGKILL)
            self.child.wait()
            self._capture.finish()

    def _group_works(self) -> bool:
        """Whether anything of the child's group still runs.

        In a container whose first process takes note of no end, what has ended stays in the group as a zombie, and
        signals to it succeed for ever.
        """
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.child.pid and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def _signal_group(self, number: int) -> bool:
        """Signal every process of the child's group (it leads one of its own); False when none is left."""
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS says this of a group of processes that have ended but were not waited for
            return False
        return True

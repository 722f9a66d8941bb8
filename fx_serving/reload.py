"""The rolling reload of `fx serve` (SIGHUP): workers are replaced one by one, each when the last one serves."""

from __future__ import annotations

import logging
import time
from collections import deque

import msgspec

from fx_serving.children import Child
from fx_serving.client.home import Stores

log = logging.getLogger("fx_serving.supervisor")

_READY_S = 60.0  # a successor that has not applied the table by then ends the reload: the others serve on


class _Status(msgspec.Struct):
    pid: int
    applied_version: int = 0


class _Table(msgspec.Struct):
    generation: int = 0


class Reload:
    """Looked at from the supervisor's loop; never blocks it."""

    def __init__(self, stores: Stores, ready_s: float = _READY_S) -> None:
        self._stores, self._ready_s = stores, ready_s
        self._waiting: deque[Child] = deque()
        self._current: Child | None = None
        self._old_pid = 0
        self._deadline = 0.0
        self._patience_s = 0.0

    @property
    def active(self) -> bool:
        """Whether workers are still to be replaced."""
        return self._current is not None or bool(self._waiting)

    def begin(self, workers: list[Child], patience_s: float) -> None:
        """Replace these; a reload that is still going on begins anew with all of them."""
        self._waiting, self._patience_s = deque(workers), patience_s
        log.info("reload: %d workers, one after the other", len(workers))

    def step(self) -> None:
        """Go on where the current worker's successor serves."""
        if self._current is not None:
            if not self._serves(self._current):
                if time.monotonic() > self._deadline:
                    log.error("reload: given up, since the new %s does not serve; the others stay", self._current.name)
                    self._current = None
                    self._waiting.clear()
                return
            self._current = None
        if not self._waiting:
            return
        child = self._waiting.popleft()
        if child.alive and child.process is not None:
            self._current, self._old_pid = child, child.process.pid
            self._deadline = time.monotonic() + self._patience_s + self._ready_s
            child.replace(self._patience_s)
        if not self._waiting:
            log.info("reload: the last worker is being replaced")

    def _serves(self, child: Child) -> bool:
        """Whether a successor runs that has applied the routing table."""
        process = child.process
        if process is None or process.pid == self._old_pid:
            return False
        try:
            content = (self._stores.workers / f"{child.name}.json").read_bytes()
            status = msgspec.json.decode(content, type=_Status)
        except (OSError, ValueError):
            return False
        try:
            table = msgspec.json.decode(self._stores.routing.read_bytes(), type=_Table)
        except (OSError, ValueError):
            table = _Table()
        return status.pid == process.pid and status.applied_version >= table.generation

"""A process that may fail without the platform ending: started again, with waits that grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from fx_assets.stack.process import Process

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# A process that has worked for so long is well: its next failure is waited for as a first one.
WELL_AFTER_S = 120.0


class Supervised:
    """Keeps one process running. final: exit codes after which it is not started again."""

    def __init__(
        self, start: Callable[[], Process], final: Collection[int] = (), clock: Callable[[], float] = time.monotonic
    ):
        self._start, self._final, self._clock = start, final, clock
        self.process: Process | None = start()
        self.restarts = 0
        self._started, self._wait = clock(), FIRST_WAIT_S
        self._due: float | None = None

    def check(self) -> str | None:
        """Look after the process; returns what is worth telling a person, if anything has happened."""
        now = self._clock()
        if self._due is not None:
            if now >= self._due:
                self._due, self._started = None, now
                self.process = self._start()
                self.restarts += 1
            return None
        if self.process is None or self.process.alive():
            return None
        ended, self.process = self.process, None
        code = ended.child.returncode
        if code in self._final:
            return f"{ended.name} is off:\n{ended.tail(3)}\nThe whole log: {ended.log}"
        if now - self._started > WELL_AFTER_S:
            self._wait = FIRST_WAIT_S
        self._due = now + self._wait
        told = f"{ended.name} ended with code {code} and is started again in {self._wait:g} s. Log: {ended.log}"
        self._wait = min(self._wait * 2, LONGEST_WAIT_S)
        return told

    def stop(self) -> None:
        """Stop the process; it is not started again."""
        self._due = None
        if self.process is not None:
            self.process.stop()

"""A child process of `fx serve` that is started again whenever it ends, and can be replaced on purpose."""

from __future__ import annotations

import logging
import subprocess
import time

log = logging.getLogger("fx_serving.supervisor")

_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0


class Child:
    """One process by name."""

    def __init__(self, name: str, command: list[str], fds: list[int]) -> None:
        self.name, self.command, self.fds = name, command, fds
        self.process: subprocess.Popen | None = None
        self._started = 0.0
        self._failures = 0
        self._due = 0.0
        self._kill_at: float | None = None  # set while it is being replaced

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Run the command."""
        # A session of its own: Ctrl-C reaches the supervisor only, which then lets its children finish their
        # work.
        self.process = subprocess.Popen(
            self.command, pass_fds=self.fds, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._started = time.monotonic()

    def replace(self, patience_s: float) -> None:
        """Let it finish its work, for so long, and start its successor at once."""
        if self.alive and self.process is not None:
            self._kill_at = time.monotonic() + patience_s
            self.process.terminate()

    def keep(self) -> None:
        """Notice an end, and start again when the pause for it is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            if self._kill_at is not None:
                self._kill_at, self._failures, self._due = None, 0, now
            else:
                self._failures = 0 if now - self._started > _STEADY_S else self._failures + 1
                pause = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
                log.warning("%s ended (%s); restart in %g s", self.name, self.process.returncode, pause)
                self._due = now + pause
            self.process = None
        elif self.process is not None and self._kill_at is not None and now > self._kill_at:
            log.warning("%s did not finish in time; killed", self.name)
            self.process.kill()
        if self.process is None and now >= self._due:
            self.start()

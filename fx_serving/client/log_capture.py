"""What a process prints, brought into a log file by a program of its own (see log_files.py)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fx_serving.client import log_files

_PIPE_BYTES = 1 << 20
_FINISH_S = 5.0
_AGAIN_S = 0.1


class Capture:
    """A pipe into a log file. Give `output` to the process as stdout or stderr, then call `begin`.

    echo: a descriptor where people read it, too.
    """

    def __init__(self, log: Path, echo: int | None = None) -> None:
        self.log, self._echo = log, echo
        self._read, self.output = os.pipe()
        with contextlib.suppress(AttributeError, OSError):  # Linux: room for what comes while the writer starts
            fcntl.fcntl(self._read, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.writer: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._keep, name=f"log-{log.stem}", daemon=True)

    def begin(self) -> None:
        """The process has the pipe now: let its lines be written."""
        os.close(self.output)
        self.writer = self._start()
        self._watch.start()

    def finish(self) -> None:
        """The process has ended: wait until its last line is written. Not for ever, should a child of its live on."""
        if self.writer is not None:
            self._watch.join(_FINISH_S)

    def _keep(self) -> None:
        """Start the writer again where it is killed: a pipe that nobody reads would hold up the process."""
        while self.writer is not None and self.writer.wait() != 0:
            time.sleep(_AGAIN_S)
            with contextlib.suppress(OSError):  # no memory for another process: at the next attempt
                self.writer = self._start()
        os.close(self._read)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", log_files.__file__, str(self.log)]
        # A session of its own: Ctrl-C is for those that print, whose last words are to be written.
        return subprocess.Popen(
            command if self._echo is None else [*command, "--echo"],
            stdin=self._read,
            stdout=subprocess.DEVNULL,
            stderr=self._echo,
            start_new_session=True,
        )


@contextlib.contextmanager
def captured_stderr(log: Path) -> Iterator[None]:
    """Let a log file have what this process and its children say on stderr; people still read it there."""
    sys.stderr.flush()
    real = os.dup(2)
    capture = Capture(log, echo=real)
    os.dup2(capture.output, 2)
    capture.begin()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real, 2)
        capture.finish()
        os.close(real)

"""The parent: starts the child that executes planned runs, and hands its events to a callback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from fx_assets.errors import FxError
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.storage.room import check_room
from fx_serving.client import logs
from fx_serving.client.log_capture import Capture

#: Tables of a long run come and go by the hundred megabytes, and the kernel clears each page it hands out again. Large
#: pages (glibc 2.35 and later; others ignore it), and one allocator for numpy and Arrow, save a tenth of its time.
MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class RunFailed(FxError):
    """A run that failed; its steps' errors in words, and where the whole log is."""


class RunProcess:
    """A child that executes planned runs; it is kept for further ones, since its start takes seconds.

    environment: as stack.environment makes it. log: where the child's stderr goes (docs/logs.md). Used in a `with`; the
    child starts with the first run, and ends with the block, with a run that fails, and when this process ends.
    """

    def __init__(self, environment: Mapping[str, str], log: Path):
        self.environment = environment
        self.log = log
        self._open = contextlib.ExitStack()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def another(self) -> RunProcess:
        """One like it, that works beside it."""
        return RunProcess(self.environment, self.log)

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> list[str]:
        """Execute runs one after another; returns their run ids.

        Raises RunFailed at the first run that fails, StoreError when the disk of the log (the home's) is full or
        read-only. An exception of on_event, or Ctrl-C, interrupts the run.
        """
        check_room(self.log.parent)
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        run_ids: list[str] = []
        failed: RunEvent | None = None
        try:
            with contextlib.suppress(BrokenPipeError):  # a child that is gone shows below
                child.stdin.write(msgspec.json.encode(list(plans)) + b"\n")
                child.stdin.flush()
            while failed is None and len(run_ids) < len(plans) and (line := child.stdout.readline()):
                try:
                    event = msgspec.json.decode(line, type=RunEvent)
                except ValueError:  # a library that prints is not an event
                    continue
                on_event(event)
                if event.kind == "finished":
                    run_ids.append(event.run_id or "")
                    failed = failed if event.ok else event
        except BaseException:
            child.terminate()
            self._end()
            raise
        if failed is None and len(run_ids) == len(plans):
            return run_ids
        code = self._end()
        check_room(self.log.parent)  # it would be the cause, whatever a database said about it
        if failed is not None:
            raise RunFailed(f"run {failed.run_id} failed. {failed.text or ''}\nThe whole log: {self.log}")
        raise RunFailed(f"the run process ended with code {code}. The whole log: {self.log}")

    def interrupt(self) -> None:
        """End the run that another thread executes here; it fails there."""
        if (child := self._child) is not None:
            child.terminate()

    def _start(self) -> subprocess.Popen[bytes]:
        capture = Capture(self.log)
        self._open.callback(capture.finish)
        child = self._open.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "fx_assets.runs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=capture.output,
                env={**MEMORY, **os.environ, **self.environment, logs.FORMAT: "json"},
                # Ctrl-C reaches this process only, which then interrupts the child once: a second interrupt would hit
                # the child while it marks its run as failed.
                start_new_session=True,
            )
        )
        capture.begin()
        return child

    def _end(self) -> int | None:
        """Close the pipes, at which the child ends, and wait for that; returns its exit code."""
        child, self._child = self._child, None
        self._open.close()
        return child.returncode if child else None


def execute_plan(
    plans: Sequence[PlannedRun], environment: Mapping[str, str], log: Path, on_event: Callable[[RunEvent], None]
) -> list[str]:
    """Execute runs in a child of their own, as RunProcess.execute does."""
    with RunProcess(environment, log) as process:
        return process.execute(plans, on_event)

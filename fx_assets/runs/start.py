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


class RunFailed(FxError):
    """A run that failed; its steps' errors in words, and where the whole log is."""


def execute_plan(
    plans: Sequence[PlannedRun], environment: Mapping[str, str], log: Path, on_event: Callable[[RunEvent], None]
) -> list[str]:
    """Execute runs one after another in one child process; returns their run ids.

    environment: as stack.environment makes it. log: where the child's stderr goes, appended.
    Raises RunFailed at the first run that fails, StoreError when the disk of the log (the home's) is full or
    read-only. The child ends when this process ends or is interrupted.
    """
    check_room(log.parent)
    log.parent.mkdir(parents=True, exist_ok=True)
    run_ids: list[str] = []
    failed: RunEvent | None = None
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "fx_assets.runs.execute"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environment},
            # Ctrl-C reaches this process only, which then interrupts the child once: a second interrupt would hit the
            # child while it marks its run as failed.
            start_new_session=True,
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(msgspec.json.encode(list(plans)))
            child.stdin.close()
            for line in child.stdout:
                with contextlib.suppress(msgspec.DecodeError):  # a library that prints is not an event
                    event = msgspec.json.decode(line, type=RunEvent)
                    on_event(event)
                    if event.kind == "finished":
                        run_ids.append(event.run_id or "")
                        failed = failed if event.ok else event
        except BaseException:
            child.terminate()
            raise
    if failed is not None or child.returncode != 0:
        check_room(log.parent)  # it would be the cause, whatever a database said about it
    if failed is not None:
        raise RunFailed(f"run {failed.run_id} failed. {failed.text or ''}\nThe whole log: {log}")
    if child.returncode != 0:
        raise RunFailed(f"the run process ended with code {child.returncode}. The whole log: {log}")
    return run_ids

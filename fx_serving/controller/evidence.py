"""What the controller knows from outside: workers' confirmations, and metric deltas of the current step."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from fx_serving.client.home import Stores
from fx_serving.controller.gates import Window
from fx_serving.counts import SlotCounts, read_counts

HEARTBEAT_S = 5.0


class WorkerStatus(msgspec.Struct):
    """workers/<id>.json."""

    pid: int
    applied_version: int
    errors: dict[str, str]
    heartbeat: Annotated[datetime, msgspec.Meta(tz=True)]


def live_workers(folder: Path) -> dict[str, WorkerStatus]:
    """Workers whose process is alive and whose heartbeat is recent."""
    found: dict[str, WorkerStatus] = {}
    for path in folder.glob("*.json"):
        try:
            status = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
            os.kill(status.pid, 0)
        except (OSError, msgspec.DecodeError):
            continue
        if (datetime.now(UTC) - status.heartbeat).total_seconds() < HEARTBEAT_S:
            found[path.stem] = status
    return found


def confirmation(stores: Stores, generation: int, model: str, version: str) -> tuple[bool, str | None]:
    """(every live worker, at least one, has applied `generation`; a worker's reason for refusing the
    version).
    """
    workers = live_workers(stores.workers)
    applied = bool(workers) and all(w.applied_version >= generation for w in workers.values())
    for name, status in workers.items():
        reason = status.errors.get(f"{model} {version}")
        if reason and status.applied_version >= generation:
            return applied, f"{name}: {reason}"
    return applied, None


class StepWatch:
    """Counts of one candidate since its current step began."""

    def __init__(self, folder: Path, model: str, version: str) -> None:
        self.folder, self.key = folder, (model, version, "green")
        self._base = self._read()

    def window(self) -> Window:
        """What it did since then."""
        delta = self._read().since(self._base)
        return Window(int(delta.requests), int(delta.errors), delta.quantile_ms(0.99))

    def _read(self) -> SlotCounts:
        return read_counts(self.folder).get(self.key, SlotCounts())

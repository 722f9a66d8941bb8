"""Which workers live, and what they say of the routing table."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

HEARTBEAT_S = 5.0


class WorkerStatus(msgspec.Struct):
    """workers/<id>.json."""

    pid: int
    applied_version: int
    errors: dict[str, str]
    heartbeat: Annotated[datetime, msgspec.Meta(tz=True)]


_decoder = msgspec.json.Decoder(WorkerStatus)


def live_workers(folder: Path) -> dict[str, WorkerStatus]:
    """Workers whose process is alive and whose heartbeat is recent."""
    found: dict[str, WorkerStatus] = {}
    for path in folder.glob("*.json"):
        try:
            status = _decoder.decode(path.read_bytes())
            os.kill(status.pid, 0)
        except (OSError, ValueError):
            continue
        if (datetime.now(UTC) - status.heartbeat).total_seconds() < HEARTBEAT_S:
            found[path.stem] = status
    return found


def confirmation(folder: Path, generation: int, model: str, version: str) -> tuple[bool, str | None]:
    """(every live worker, at least one, has applied `generation`; a worker's reason for refusing the
    version).
    """
    workers = live_workers(folder)
    applied = bool(workers) and all(w.applied_version >= generation for w in workers.values())
    for name, status in workers.items():
        reason = status.errors.get(f"{model} {version}")
        if reason and status.applied_version >= generation:
            return applied, f"{name}: {reason}"
    return applied, None

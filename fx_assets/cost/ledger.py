"""The notes of what steps cost: one JSON line a step in <home>/monitoring/costs/<YYYY-MM>.ndjson.

Not Dagster events: one of those takes twenty milliseconds, as long as many a step. A line is written at once, so that
processes add to the same file, and a line that a power cut has torn is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One step. at: its end (UTC). partitions: how many it made, from `first` to `last`.

    seconds: on the wall. cpu_s: processor time of the process and of those it waited for. peak_mib: the most memory
    that its process has held so far. rows and size (bytes written) are None where the step does not say.
    """

    at: datetime
    run_id: str
    assets: list[str]
    seconds: float
    cpu_s: float
    peak_mib: float
    partitions: int = 0
    first: str | None = None
    last: str | None = None
    rows: int | None = None
    size: int | None = None
    command: str | None = None


def folder(home: Path) -> Path:
    """Where the files lie."""
    return Path(home) / "monitoring" / "costs"


def add(home: Path, entry: Entry) -> None:
    """Note one step. Raises OSError."""
    place = folder(home)
    place.mkdir(parents=True, exist_ok=True)
    handle = os.open(place / f"{entry.at:%Y-%m}.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, msgspec.json.encode(entry) + b"\n")
    finally:
        os.close(handle)


def read(home: Path, since: date | None = None, until: date | None = None) -> Iterator[Entry]:
    """What was noted from `since` to `until` (UTC days, both included; None: no limit), as it was written."""
    for path in sorted(folder(home).glob("[0-9]*.ndjson")):
        if (since and path.stem < f"{since:%Y-%m}") or (until and path.stem > f"{until:%Y-%m}"):
            continue
        for line in path.read_bytes().splitlines():
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except ValueError:  # half a line of a process that was killed, or a disk that was full
                continue
            day = entry.at.astimezone(UTC).date()
            if (since is None or day >= since) and (until is None or day <= until):
                yield entry

"""The note that the stream process leaves for the sensor: the newest bar of each instrument that it put into bronze.

<home>/live/newest.json
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from fx_serving.client.files import atomic_write


class Newest(msgspec.Struct, frozen=True):
    """bars: instrument -> open of its newest bar, UTC. since: the same -> open of the first bar since when no bar of
    that length was lost by all instruments at once, as a broken connection loses them. written_at: wall clock, UTC.
    """

    written_at: datetime
    bars: dict[str, datetime]
    since: dict[str, datetime] = {}


def newest_path(home: Path) -> Path:
    """Where the note lies."""
    return home / "live" / "newest.json"


def write_newest(home: Path, newest: Newest) -> None:
    """Replace the note, whole or not at all. Not through to the disk: after a power cut the next bar renews it."""
    atomic_write(newest_path(home), msgspec.json.encode(newest), durable=False)


def read_newest(home: Path) -> Newest | None:
    """The note; None where there is none, or none that can be read (a disk that was full)."""
    try:
        return msgspec.json.decode(newest_path(home).read_bytes(), type=Newest)
    except (FileNotFoundError, ValueError):
        return None

"""Reading log files: those of a home merged by time, filtered, and followed while they grow."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from fx_serving.client.log_files import plain, rotated

LEVELS = ("debug", "info", "warning", "error", "critical")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which lines. since: none before (aware). ids: what they must belong to, by the id's name."""

    since: datetime | None = None
    level: str = "debug"
    ids: dict[str, str] = field(default_factory=dict)

    def __call__(self, entry: Entry) -> bool:
        rank = LEVELS.index(entry["level"]) if entry.get("level") in LEVELS else 1
        if rank < LEVELS.index(self.level):
            return False
        # A run is named by its first characters, too, as Dagster's UI does.
        if any(not str(entry.get(name, "")).startswith(value) for name, value in self.ids.items()):
            return False
        return self.since is None or entry["ts"] >= stamp(self.since)


def stamp(at: datetime) -> str:
    """A moment as lines state it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def names(folder: Path) -> list[str]:
    """The logs of a folder."""
    return sorted({path.name.partition(".log")[0] for path in folder.glob("*.log*") if not path.name.startswith(".")})


def read(
    folder: Path, wanted: Sequence[str] = (), keep: Wanted | None = None, *, only_rotated: bool = False
) -> Iterator[Entry]:
    """Lines of these logs (none named: all), the oldest first. What is no line of a log is passed over."""
    keep = keep or Wanted()
    each = [_one(folder / f"{name}.log", keep, only_rotated) for name in (wanted or names(folder))]
    return heapq.merge(*each, key=lambda entry: entry["ts"])


def tail(log: Path, lines: int, since: datetime | None = None) -> str:
    """The end of one log, for people."""
    return "\n".join(plain(entry) for entry in list(_one(log, Wanted(since)))[-lines:])


def follow(
    folder: Path, wanted: Sequence[str], keep: Wanted, wait: Callable[[], None] = lambda: time.sleep(0.3)
) -> Iterator[Entry]:
    """Lines as `read` has them, and then as they are written, for ever."""
    opened: dict[str, tuple[IO[bytes], int]] = {}
    yield from read(folder, wanted, keep, only_rotated=True)
    while True:
        found: list[Entry] = []
        for name in wanted or names(folder):
            found += _new(folder / f"{name}.log", opened)
        yield from sorted(filter(keep, found), key=lambda entry: entry["ts"])
        wait()


def _one(path: Path, keep: Wanted, only_rotated: bool = False) -> Iterator[Entry]:
    """One log, with its rotated files. Lines of several processes may be out of order by a little: sorted by file."""
    first_day = f"{keep.since.astimezone(UTC):%Y-%m-%d}" if keep.since else ""
    for file in [*(aside for day, _, aside in rotated(path) if day >= first_day), *([] if only_rotated else [path])]:
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # rotated or cleaned meanwhile
            continue
        yield from sorted(filter(keep, _decoded(content)), key=lambda entry: entry["ts"])


def _decoded(content: bytes) -> Iterator[Entry]:
    for raw in content.splitlines():
        try:
            entry = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("ts"), str):
            yield entry


def _new(path: Path, opened: dict[str, tuple[IO[bytes], int]]) -> list[Entry]:
    """What one log has more than at the last look, also across a rotation."""
    found: list[Entry] = []
    file, inode = opened.get(path.name, (None, 0))
    if file is not None:
        found += _whole_lines(file)
    try:
        if file is None or path.stat().st_ino != inode:
            if file is not None:
                found += _whole_lines(file)  # written between the last look and the rotation
                file.close()
            file = path.open("rb")
            inode = path.stat().st_ino
            opened[path.name] = (file, inode)
            found += _whole_lines(file)
    except FileNotFoundError:
        pass
    return found


def _whole_lines(file: IO[bytes]) -> list[Entry]:
    start = file.tell()
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    file.seek(start + len(whole))
    return list(_decoded(whole))

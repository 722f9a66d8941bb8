"""The segments as the ingester sees them: which there are, what tells them apart, and their next whole lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fx_serving.client.prediction_records import KINDS, Kind, first_line_hash, lines_from, segments


@dataclass(frozen=True)
class Segment:
    """One file. closed: its worker has begun a newer one, so nothing more comes."""

    path: Path
    kind: Kind
    worker: str
    closed: bool


@dataclass(frozen=True)
class Lines:
    """Whole lines of a segment, from `begin` to `end` in bytes."""

    begin: int
    end: int
    content: tuple[bytes, ...]


def survey(folder: Path) -> list[Segment]:
    """All segments: predictions first, since feedback and shadow scores speak of them; each worker's oldest first."""
    return [
        Segment(path, kind, worker, path != paths[-1])
        for kind in KINDS
        for worker, paths in segments(folder, kind).items()
        for path in paths
    ]


def next_lines(path: Path, begin: int, max_lines: int, max_bytes: int) -> Lines:
    """The next whole lines behind `begin`, as many as the limits allow, at least one if there is one."""
    content, end = [], begin
    for line, line_end in lines_from(path, begin):
        content.append(line)
        end = line_end
        if len(content) >= max_lines or end - begin >= max_bytes:
            break
    return Lines(begin, end, tuple(content))


def size(path: Path) -> int:
    """Bytes, 0 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Names:
    """first_line_hash, remembered as long as a file only grows."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, str]] = {}

    def first(self, path: Path) -> str:
        """Empty while the first line is not whole, or the file is gone."""
        try:
            state = path.stat()
        except FileNotFoundError:
            self.forget(path)
            return ""
        inode, seen, found = self._known.get(path.name, (0, 0, ""))
        if not found or inode != state.st_ino or state.st_size < seen:
            found = first_line_hash(path)
        self._known[path.name] = (state.st_ino, state.st_size, found)
        return found

    def forget(self, path: Path) -> None:
        """The file was deleted."""
        self._known.pop(path.name, None)

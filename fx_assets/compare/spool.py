"""Both sides of a table, cut into stretches of time that fit into memory.

The two systems cut their files differently (a day, a session, an instrument), so a table that is not small is written
once more, into a temporary folder, one file for each chunk and week.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

Side = Literal["old", "new"]
SIDES: tuple[Side, Side] = ("old", "new")
HELD = 128 << 20  # bytes of both sides kept in memory before weeks are written
STRETCH = 64 << 20  # bytes of both sides that are compared at a time, where a week is not more
_WEEK = "7D"


class Spool:
    """Rows by side and stretch: all of a small table is one stretch, else as many weeks as fit."""

    def __init__(self, folder: Path, clock: str, held: int = HELD, stretch: int = STRETCH):
        self._folder, self._clock, self._limit, self._stretch = folder, clock, held, stretch
        self._held: list[tuple[Side, pd.DataFrame]] = []
        self._bytes = 0
        self._written = False
        self._files: dict[tuple[Side, int], list[Path]] = {}
        self._number = itertools.count()
        self._empty: dict[Side, pd.DataFrame] = {}
        self.rows: dict[Side, int] = {"old": 0, "new": 0}
        self.span: dict[Side, tuple[pd.Timestamp, pd.Timestamp]] = {}

    def add(self, side: Side, frame: pd.DataFrame) -> None:
        """More rows, in any order."""
        known = self._empty.get(side, frame.head(0))
        self._empty[side] = known.assign(**{c: frame[c].head(0) for c in frame.columns if c not in known.columns})
        if frame.empty:
            return
        times = frame[self._clock]
        first, last = self.span.get(side, (times.min(), times.max()))
        self.span[side] = (min(first, times.min()), max(last, times.max()))
        self.rows[side] += len(frame)
        self._held.append((side, frame))
        self._bytes += int(frame.memory_usage(deep=True).sum())
        if self._written or self._bytes > self._limit:
            self._write()

    def columns(self, side: Side) -> list[str]:
        """Every column that some file of a side has."""
        return list(self._empty[side].columns) if side in self._empty else []

    def stretches(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Old and new rows of each stretch, in order of time; within one, as they came."""
        if not self._written:
            yield self._one("old", self._all("old")), self._one("new", self._all("new"))
            return
        weeks: list[int] = []
        size = 0
        for week in sorted({week for _, week in self._files}):
            own = sum(path.stat().st_size for side in SIDES for path in self._files.get((side, week), ()))
            if weeks and size + own > self._stretch:
                yield self._weeks(weeks)
                weeks, size = [], 0
            weeks.append(week)
            size += own
        yield self._weeks(weeks)

    def _weeks(self, weeks: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
        paths = {side: [p for week in weeks for p in self._files.get((side, week), ())] for side in SIDES}
        return self._one("old", map(_read, paths["old"])), self._one("new", map(_read, paths["new"]))

    def _all(self, side: Side) -> list[pd.DataFrame]:
        return [frame for owner, frame in self._held if owner == side]

    def _one(self, side: Side, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Parts as one frame with every column of the side."""
        found = list(parts)
        if not found:
            return self._empty.get(side, pd.DataFrame())
        whole = pd.concat(found, ignore_index=True) if len(found) > 1 else found[0].reset_index(drop=True)
        return whole.reindex(columns=self.columns(side))

    def _write(self) -> None:
        """What is held goes to the disk."""
        for side, frame in self._held:
            weeks = frame[self._clock].dt.floor(_WEEK).astype("int64")
            for week, rows in frame.groupby(weeks.to_numpy(), sort=False):
                path = self._folder / f"{next(self._number)}.arrow"
                feather.write_feather(pa.Table.from_pandas(rows, preserve_index=False), str(path), "uncompressed")
                self._files.setdefault((side, int(str(week))), []).append(path)
        self._held.clear()
        self._written = True


def _read(path: Path) -> pd.DataFrame:
    return feather.read_table(str(path), memory_map=False).to_pandas()

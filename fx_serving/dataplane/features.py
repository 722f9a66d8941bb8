"""Feature blobs held in memory, and the feature vector of one question.

Never a guess: what lacks is named.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from fx_serving.client.clock import to_iso
from fx_serving.client.snapshot import BlobError, FeatureBlob
from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.errors import ApiError

_REMEDY = "The feature refresher publishes it (fx up); GET /health shows its state."


class ViewRows:
    """The rows of one blob: immutable. `values` float32 (rows, names), NaN where the store had no value."""

    __slots__ = ("names", "times", "values", "version")

    def __init__(self, blob: FeatureBlob) -> None:
        self.names = tuple(blob.names)
        self.times = [row.time for row in blob.rows]
        table = [[np.nan if v is None else v for v in row.values] for row in blob.rows]
        with np.errstate(over="ignore"):
            self.values = np.array(table, dtype=np.float32).reshape(len(table), len(self.names))
        self.values.setflags(write=False)
        self.version = blob.version


class FeatureSnapshots:
    """All blobs below one folder, re-read when a file's inode, size or time changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: Mapping[tuple[str, str], ViewRows | str] = {}
        self._marks: dict[tuple[str, str], tuple[int, int, int]] = {}

    def scan(self) -> list[tuple[str, str]]:
        """The (view, instrument) pairs whose file is new or changed; forgets files that are gone."""
        marks: dict[tuple[str, str], tuple[int, int, int]] = {}
        try:
            for view in os.scandir(self.folder):
                if not view.is_dir():
                    continue
                for entry in os.scandir(view.path):
                    if entry.name.endswith(".json") and not entry.name.startswith("."):
                        stat = entry.stat()
                        marks[view.name, entry.name[:-5]] = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except FileNotFoundError:
            pass  # a folder or file vanished between listing and reading: the next scan sees the truth
        changed = [pair for pair, mark in marks.items() if self._marks.get(pair) != mark]
        if self._marks.keys() - marks.keys():
            self.held = {pair: rows for pair, rows in self.held.items() if pair in marks}
        self._marks = marks
        return changed

    def load(self, pair: tuple[str, str]) -> None:
        """Read one blob; a corrupt one is remembered as the text of its error."""
        view, instrument = pair
        try:
            blob = FeatureBlob.read(self.folder / view / f"{instrument}.json")
            if (blob.view, blob.instrument) != pair:
                raise BlobError(f"holds {blob.view}/{blob.instrument}")
            rows: ViewRows | str = ViewRows(blob)
        except BlobError as error:
            rows = str(error)
        self.held = {**self.held, pair: rows}

    async def poll(self) -> None:
        """Re-read what changed; decoding happens off the event loop, one blob at a time."""
        for pair in self.scan():
            await asyncio.to_thread(self.load, pair)

    async def run(self, every_s: float = 0.2) -> None:
        """Poll for ever."""
        while True:
            await self.poll()
            await asyncio.sleep(every_s)


class Vector:
    """What is scored: `row` float32 (1, n); `time` the oldest feature time used (None if all were given)."""

    __slots__ = ("age_s", "row", "time")

    def __init__(self, row: np.ndarray, time: datetime | None, age_s: float | None) -> None:
        self.row = row
        self.time = time
        self.age_s = age_s


def assemble(
    bundle: LoadedBundle,
    snapshots: FeatureSnapshots,
    instrument: str,
    at: datetime,
    historic: bool,
    given: Mapping[int, float],
) -> Vector:
    """The feature vector as of `at`, `given` values taking precedence.

    Raises ApiError 503 (missing, null, stale or corrupt feature: which one, how old, the limit) and 422 (a
    historic time before the rows held).
    """
    row = np.empty((1, len(bundle.names)), dtype=np.float32)
    oldest: datetime | None = None
    for view, places in bundle.views.items():
        if given and all(place in given for place in places):
            continue
        where = f"{view}/{instrument}"
        rows = snapshots.held.get((view, instrument))
        if rows is None:
            raise ApiError(503, f"features {where}: none published. {_REMEDY}", "feature_missing")
        if isinstance(rows, str):
            raise ApiError(503, f"features {where}: corrupt: {rows}", "feature_corrupt")
        index = bisect_right(rows.times, at) - 1
        if index < 0:
            if historic and rows.times:
                raise ApiError(
                    422,
                    f"timestamp: {to_iso(at)} lies before the rows held for {where}: "
                    f"{to_iso(rows.times[0])} to {to_iso(rows.times[-1])}. Ask within that span.",
                )
            raise ApiError(503, f"features {where}: no row at or before {to_iso(at)}. {_REMEDY}", "feature_missing")
        time = rows.times[index]
        limit = bundle.manifest.max_feature_age_s[view]
        age = (at - time).total_seconds()
        if age > limit:
            raise ApiError(
                503,
                f"features {where}: stale: the newest row at {to_iso(at)} is of {to_iso(time)}, "
                f"{age:.0f} s old; "
                f"the limit is {limit:.0f} s. {_REMEDY}",
                "feature_stale",
            )
        columns = bundle.columns(view, rows.names)
        if isinstance(columns, str):
            raise ApiError(503, f"feature {columns} is not in {where}. {_REMEDY}", "feature_missing")
        row[0, places] = rows.values[index, columns]
        if oldest is None or time < oldest:
            oldest = time
    for place, value in given.items():
        row[0, place] = value
    if not np.isfinite(row).all():
        name = bundle.manifest.features[int(np.flatnonzero(~np.isfinite(row[0]))[0])]
        found = rows_time(snapshots, name.view, instrument, at)
        raise ApiError(
            503,
            f"feature {name.name} of {name.view}/{instrument} has no value in the row of {found}. "
            f"Give it in features to score without the store. {_REMEDY}",
            "feature_null",
        )
    return Vector(row, oldest, (at - oldest).total_seconds() if oldest is not None else None)


def rows_time(snapshots: FeatureSnapshots, view: str, instrument: str, at: datetime) -> str:
    """The time of the row that holds at `at`, for messages."""
    rows = snapshots.held.get((view, instrument))
    if not isinstance(rows, ViewRows):
        return "an unknown time"
    index = bisect_right(rows.times, at) - 1
    return to_iso(rows.times[index]) if index >= 0 else "an unknown time"

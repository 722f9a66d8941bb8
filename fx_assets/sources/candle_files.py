"""The source of kind `file`: a user's own candle and news files, read again whenever they change."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.sources import answers, file_frames, news_content
from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.candle_file import longer_bars
from fx_assets.sources.file_access import Found, place_for, shown
from fx_assets.sources.options import Files
from fx_serving.client import clock

CACHED_BYTES = 256 * 2**20
LISTED_S = 30.0  # a backfill asks for thousands of sessions: files are looked for only so often
_GRANULARITY = re.compile(rf"(?<![A-Z0-9])({'|'.join(GRANULARITY_MINUTES)})(?![A-Z0-9])")


class FileSource:
    """One file, the files of a folder, or what {instrument} and {granularity} in the path lead to.

    Without {instrument} in the path, a file belongs to the instruments that its name holds (EUR_USD or EURUSD), or
    to those in its column `instrument`; without {granularity}, to the granularity in its name, or any.
    """

    def __init__(self, name: str, options: Files):
        self.name, self.options = name, options
        self._place = place_for(name, options)
        self._cache = _Cache(CACHED_BYTES)
        self._listed: dict[str, tuple[float, list[Found]]] = {}

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Rows that cannot be true are handed on as they are; of files that overlap, the one
        modified last wins, session-independent and row by row.

        Raises SourceRefused when no file is the instrument's, SourceError when one cannot be read.
        """
        every = self._all(instrument, granularity)
        first, last = every["time"].searchsorted(pd.DatetimeIndex([start, end]).as_unit("us"))
        return answers.whole(every.iloc[first:last], granularity, start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource. In a folder, the files with news or headlines in their name are read."""
        files = self._files(self.options.path)
        if len(files) > 1:
            files = [file for file in files if re.search("news|headline", file.name, re.IGNORECASE)]
        if not files:
            raise SourceRefused(f"{self._where()}: no file here has news or headlines in its name. Check the path.")
        every = self._cache.get(("news", *files), lambda: self._read_news(files))
        until = min(end, clock.now())  # a replay does not know yet what the file holds of the days to come
        return news_content.checked(self.name, news_content.within(every, start, until), start, end)

    def close(self) -> None:
        """Give back connections, and forget what was read."""
        self._place.close()
        self._cache = _Cache(CACHED_BYTES)
        self._listed = {}

    def _where(self, file: Found | None = None) -> str:
        return f"{self.name}: {shown(file.path if file else self.options.path)}"

    def _files(self, path: str) -> list[Found]:
        at, files = self._listed.get(path, (0.0, []))
        if not files or time.monotonic() - at > LISTED_S:
            at, files = time.monotonic(), self._place.find(path)
            self._listed[path] = at, files
        return [file for file in files if file_frames.kind(file.name.partition("?")[0])]

    def _all(self, instrument: str, granularity: str) -> pd.DataFrame:
        path = self.options.path.replace("{instrument}", instrument).replace("{granularity}", granularity)
        given = "{instrument}" in self.options.path
        files = self._files(path)
        own = files if given else [file for file in files if _mentions(file.name, instrument)]
        by_column = not own and not given
        own = own or ([] if given else files)
        if "{granularity}" not in self.options.path:
            own = [file for file in own if _GRANULARITY.findall(file.name.upper()) in ([], [granularity])]
        if not own:
            raise self._nothing(instrument, granularity, files)
        return self._cache.get(
            (instrument, granularity, *own), lambda: self._read(own, instrument, granularity, by_column)
        )

    def _nothing(self, instrument: str, granularity: str, files: list[Found]) -> SourceRefused:
        return SourceRefused(
            f"{self._where()}: no file of {instrument} {granularity}; there is "
            f"{', '.join(file.name for file in files[:8]) or 'nothing'}. Name files as "
            f"{instrument}_{granularity}.csv (.parquet, .ndjson), or put {{instrument}} into the path."
        )

    def _read(self, files: list[Found], instrument: str, granularity: str, by_column: bool) -> pd.DataFrame:
        """All rows of the instrument. by_column: only files that tell by a column whose rows they hold."""
        parts = []
        for number, file in enumerate(files):
            rows = file_frames.candles(self._where(file), self._table(file), self.options.max_bad_share)
            told = "instrument" in rows.columns
            if told:
                rows = rows[rows["instrument"].isin((instrument, _joined(instrument)))].drop(columns="instrument")
            if told or not by_column:
                self._check_grid(file, rows, granularity)
                parts.append(rows.assign(_file=number))
        if not any(len(part) for part in parts):
            raise self._nothing(instrument, granularity, files)
        every = pd.concat(parts, ignore_index=True)
        # The last file that has a time gives all its rows of that time: repeated ones are silver's to judge.
        winner = every.groupby("time")["_file"].transform("max")
        every = every[every["_file"] == winner].drop(columns="_file")
        columns = [name for name in answers.COLUMNS if name in every.columns]
        return every[columns].sort_values("time", kind="stable", ignore_index=True)

    def _check_grid(self, file: Found, rows: pd.DataFrame, granularity: str) -> None:
        """A file of another granularity cannot be read as this one; single rows off the grid are silver's."""
        minutes = GRANULARITY_MINUTES[granularity]
        if (usual := longer_bars(rows["time"], minutes)) is not None:
            raise SourceError(
                f"{self._where(file)}: rows are usually {usual} apart, {granularity} candles are not. "
                "Check the instrument's granularity, or put the file's own into its name."
            )
        length = min(minutes, 60) * 60_000_000
        off = rows["time"].astype("int64").to_numpy() % length != 0
        if np.count_nonzero(off) * 2 > len(rows):
            raise SourceError(
                f"{self._where(file)}: most rows do not open on multiples of {granularity}, the first at "
                f"{rows['time'].iloc[int(np.argmax(off))]}. Check the instrument's granularity."
            )

    def _read_news(self, files: list[Found]) -> pd.DataFrame:
        parts = [
            file_frames.news(
                self._where(file), self._table(file), PurePosixPath(file.name).stem, self.options.max_bad_share
            )
            for file in files
        ]
        return pd.concat(parts, ignore_index=True).sort_values(
            ["first_seen", "published", "headline"], kind="stable", ignore_index=True
        )

    def _table(self, file: Found) -> pd.DataFrame:
        name = file.name.partition("?")[0]
        return file_frames.table(self._where(file), name, self._place.read(file))


class _Cache:
    """What was read from files, until one of them changes or others need the room. Reads one thing at a time."""

    def __init__(self, size: int):
        self._size = size
        self._kept: OrderedDict[tuple, pd.DataFrame] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            made = self._kept[key] = read()
            while len(self._kept) > 1 and self._bytes() > self._size:
                self._kept.popitem(last=False)
            return made

    def _bytes(self) -> int:
        return sum(int(frame.memory_usage(index=False).sum()) for frame in self._kept.values())


def _joined(instrument: str) -> str:
    return instrument.replace("_", "")


def _mentions(name: str, instrument: str) -> bool:
    """Whether a file's name holds the instrument as a word of its own, or as EURUSD."""
    words = rf"(?<![A-Z0-9])({re.escape(instrument.upper())}|{re.escape(_joined(instrument.upper()))})(?![A-Z0-9])"
    return re.search(words, name.upper()) is not None

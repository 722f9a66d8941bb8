"""Inputs of a table asset, read chunk by chunk: of the lake, and of bronze."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fx_assets.bronze.files import Bronze
from fx_assets.errors import StoreError
from fx_assets.inputs import Input
from fx_assets.lake import Lake, concatenated
from fx_assets.lineage import Stamp, neighbours, usable_contents
from fx_assets.schemas import Schema


class Reader:
    """What both kinds share: which sessions an input takes, and what of them there is."""

    def __init__(self, source: Input, calendar: Sequence[str]):
        self.source = source
        self.calendar = calendar
        self._position = {key: n for n, key in enumerate(calendar)}
        self.contents: Mapping[str, str] = {}
        self.width = 16  # columns at most, for the size of a chunk

    def taken(self, key: str) -> Sequence[str]:
        """The sessions that go into one session, its own included."""
        return neighbours(self._position[key], self.source, self.calendar)

    def wanted(self, keys: Sequence[str]) -> list[str]:
        """The sessions that go into several, sorted, each once."""
        return list(dict.fromkeys(sorted(session for key in keys for session in self.taken(key))))


class TableReader(Reader):
    """A silver or gold table. What is not there, or may not be built on, is left out; the IO manager has checked that
    none of it are the run's own sessions.
    """

    def __init__(
        self, lake: Lake, schema: Schema, source: Input, calendar: Sequence[str], stamps: Mapping[str, Stamp | None]
    ):
        """stamps: of every partition that the run may read, as they are when it starts."""
        super().__init__(source, calendar)
        self.lake = lake
        self.schema = schema
        self.stamps = stamps
        self.contents = usable_contents(stamps)
        self.width = len(schema.columns)

    def read(self, keys: Sequence[str], columns: list[str] | None = None) -> pd.DataFrame:
        """`keys` and their neighbours as one frame, sorted as stored: by session, then by the table's key."""
        return self._frame(self.wanted(keys), columns)

    def own(self, keys: Sequence[str], columns: list[str] | None = None) -> pd.DataFrame:
        """`keys` alone."""
        return self._frame(list(keys), columns)

    def _frame(self, keys: list[str], columns: list[str] | None) -> pd.DataFrame:
        found = self.lake.read_tables(self.source.table, [key for key in keys if key in self.contents], columns)
        for key, (_, stamp) in found.items():
            if stamp != self.stamps[key]:
                raise StoreError(
                    f"{self.source.table}, session {key}: was made again while this run was reading it. "
                    "Run the same command again."
                )
        parts = [part for part, _ in found.values() if part.num_rows] or [part for part, _ in found.values()][:1]
        if parts:
            return concatenated(parts)
        empty = self.schema.empty()
        return empty if columns is None else empty[columns]


class BronzeReader(Reader):
    """What sources answered, for the sessions of a run and their neighbours."""

    def __init__(
        self, bronze: Bronze, source: Input, instruments: Sequence[str], keys: Sequence[str], calendar: Sequence[str]
    ):
        super().__init__(source, calendar)
        self.bronze = bronze
        self.instruments = list(instruments)
        # Before anything is read: what is fetched meanwhile makes the result look older than it is, never newer.
        self.contents = bronze.digests(source.table, self.wanted(keys), self.instruments)

    def read(self, keys: Sequence[str]) -> pd.DataFrame:
        """All rows of all fetches, as Bronze.read returns them."""
        return self.bronze.read(self.source.table, self.wanted(keys), self.instruments)

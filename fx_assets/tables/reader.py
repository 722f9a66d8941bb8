"""Inputs of a table asset: of the lake and of bronze, read chunk by chunk, and reference files, read whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fx_assets.bronze import reference
from fx_assets.bronze.files import Bronze
from fx_assets.errors import MissingData, StoreError
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

    def read(
        self, keys: Sequence[str], columns: list[str] | None = None, before: Mapping[str, int] | None = None
    ) -> pd.DataFrame:
        """`keys` and their neighbours as one frame, sorted as stored: by session, then by the table's key.

        before: sessions before each that an instrument needs, by instrument, where these are not the same for all:
        what of an earlier session no instrument needs is not kept.
        """
        if before is None or len(set(before.values())) < 2:
            return self._frame(self.wanted(keys), columns)
        needed: dict[str, set[str]] = {}
        for sessions in set(before.values()):
            symbols = {symbol for symbol, own in before.items() if own == sessions}
            source = replace(self.source, before=sessions)
            for key in {key for own in keys for key in neighbours(self._position[own], source, self.calendar)}:
                needed.setdefault(key, set()).update(symbols)
        partly = {key: sorted(symbols) for key, symbols in needed.items() if len(symbols) < len(before)}
        return self._frame(self.wanted(keys), columns, partly)

    def own(self, keys: Sequence[str], columns: list[str] | None = None) -> pd.DataFrame:
        """`keys` alone."""
        return self._frame(list(keys), columns)

    def neighbours(self, keys: Sequence[str], columns: list[str] | None = None) -> pd.DataFrame:
        """The neighbours of `keys` alone."""
        own = set(keys)
        return self._frame([key for key in self.wanted(keys) if key not in own], columns)

    def _frame(
        self, keys: list[str], columns: list[str] | None, partly: Mapping[str, Sequence[str]] | None = None
    ) -> pd.DataFrame:
        """partly: the instruments wanted of a session, where these are not all."""
        usable = [key for key in keys if key in self.contents]
        found = self.lake.read_tables(self.source.table, usable, columns)
        if gone := [key for key in usable if key not in found]:
            raise StoreError(
                f"{self.source.table}, session {gone[0]} ({len(gone)} in all): was in the lake when this run started, "
                f"and is not in {self.lake.url}. Run the same command again; where a worker of a cluster says this, "
                "let it see the same lake (docs/scale.md)."
            )
        for key, (_, stamp) in found.items():
            if stamp != self.stamps[key]:
                raise StoreError(
                    f"{self.source.table}, session {key}: was made again while this run was reading it. "
                    "Run the same command again."
                )
        for key, symbols in (partly or {}).items():
            if key in found:
                table, stamp = found[key]
                found[key] = table.filter(np.isin(table["instrument"].to_numpy(), symbols)), stamp
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


class ReferenceReader(Reader):
    """The copy in use of a reference file, for the sessions of a run. Raises MissingData where there is none yet."""

    def __init__(self, bronze: Bronze, source: Input, keys: Sequence[str], calendar: Sequence[str], all_week: bool):
        super().__init__(source, calendar)
        path = reference.newest(bronze, source.table)
        if path is None:
            raise MissingData(
                f"{source.table}: the file that data.yaml names was not copied yet. "
                f"Materialize {source.table}, or run `fx backfill`, which does."
            )
        self.rows = reference.read(bronze, path)
        self.contents = reference.session_digests(self.rows, keys, all_week)

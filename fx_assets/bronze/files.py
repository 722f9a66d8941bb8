"""Bronze files: gzip NDJSON, one for each fetch, written once and never touched again.

    <lake>/bronze/candles/instrument=GBP_USD/session=2022-03-03/20220304T220000.000000Z-1f2e3d4c5b6a.ndjson.gz

The first line tells about the fetch, each further line is one row as it came. A later fetch of the same session
adds a file; readers let the newest fetch win, row by row. The name tells when a file was fetched and, by the hash of
its source and rows, whether two fetches brought the same. Months that were archived and removed here leave a list
of their files behind (see fx_assets.archive), so that they are never taken for sessions that were not fetched.

A fetch that cannot have brought all of its session, because it was made before the session's end, has a name that
ends in "-part.ndjson.gz". Nothing but the question whether the session has to be fetched again looks at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from fx_assets.bronze.encoding import TIMES, decode, encode, records
from fx_assets.errors import MissingData
from fx_assets.storage import Store, open_store

__all__ = [
    "ALL_NEWS",
    "ARCHIVED",
    "CANDLES",
    "NEWS",
    "PART",
    "STREAMED",
    "SUFFIX",
    "TIMES",
    "Bronze",
    "BronzeFile",
    "Fetch",
    "place",
]

CANDLES = "bronze/candles"
NEWS = "bronze/news"
ALL_NEWS = "all"  # news is not fetched by instrument
SUFFIX = ".ndjson.gz"
PART = "-part"  # before the suffix
STREAMED = "_stream"  # how the names of sources that are pricing streams end; each of their files is a few bars
ARCHIVED = "bronze/archived"  # lists of files that may lie in the archive only: <table>/<month>.<part>.json

_STAMP = "%Y%m%dT%H%M%S.%fZ"
# Beyond this many sessions one listing of an instrument's folder is cheaper than one for each session.
_LIST_WHOLE = 32
_READ_AT_ONCE = 512


@dataclass(frozen=True)
class BronzeFile:
    """One fetch: its path in the store, when it was made, the sha256 of its rows, how many there are, who answered."""

    path: str
    fetched_at: datetime
    sha256: str
    rows: int
    source: str


@dataclass(frozen=True)
class Fetch:
    """What one source answered for one instrument and session: to be appended. part: more of it is to come."""

    instrument: str
    session: str
    source: str
    rows: pd.DataFrame
    part: bool = False


def place(table: str, instrument: str, session: str) -> str:
    """The folder of the fetches of one instrument and session."""
    return f"{table}/instrument={instrument}/session={session}"


class Bronze:
    """The append-only store of one lake. as_of: later fetches are hidden, as if it were that moment (aware)."""

    def __init__(self, store: Store | Path | str, as_of: datetime | None = None):
        self.store = open_store(store) if isinstance(store, str | Path) else store
        self._until = None if as_of is None else f"{as_of.astimezone(UTC).strftime(_STAMP)}~"

    def append(
        self,
        table: str,
        instrument: str,
        session: str,
        source: str,
        rows: pd.DataFrame,
        fetched_at: datetime,
        part: bool = False,
    ) -> BronzeFile:
        """Write one fetch to a new file, atomically and durably. Times become ISO 8601 in UTC. part: see Fetch.

        Raises StoreError when it cannot be written, or a file of that name holds something else.
        """
        return self.append_all(table, [Fetch(instrument, session, source, rows, part)], fetched_at)[0]

    def append_all(self, table: str, fetches: Iterable[Fetch], fetched_at: datetime) -> list[BronzeFile]:
        """As `append` for many fetches; no file appears before the contents of all of them are on the disk."""
        parts = ((f.instrument, f.session, f.source, records(f.rows), f.part) for f in fetches)
        return self._create(table, parts, fetched_at)

    def append_sessions(
        self, table: str, instrument: str, source: str, rows: pd.DataFrame, sessions: pd.Index, fetched_at: datetime
    ) -> list[BronzeFile]:
        """As `append_all` for one instrument's history, cut into sessions: `sessions` names that of each row.

        The rows of a session must lie together. Raises ValueError when they do not.
        """
        encoded = records(rows)
        codes, unique = pd.factorize(sessions)
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        if len(starts) != len(unique):
            raise ValueError(f"{table}, {instrument}: rows must be sorted by session")
        ends = [*starts[1:], len(encoded)]
        cuts = zip(unique, starts, ends, strict=True)
        return self._create(table, ((instrument, str(s), source, encoded[a:b], False) for s, a, b in cuts), fetched_at)

    def _create(
        self, table: str, parts: Iterable[tuple[str, str, str, Sequence, bool]], fetched_at: datetime
    ) -> list[BronzeFile]:
        """Write (instrument, session, source, records, part) to a file each."""
        files: dict[str, bytes] = {}
        written = []
        for instrument, session, source, rows, part in parts:
            header, content = encode(table, instrument, session, source, rows, fetched_at)
            # Rows alone do not tell two fetches apart: silver also states who answered.
            told = hashlib.sha256(f"{source}\n{header.sha256}".encode()).hexdigest()[:12]
            end = PART + SUFFIX if part or source.endswith(STREAMED) else SUFFIX
            path = f"{place(table, instrument, session)}/{header.fetched_at.strftime(_STAMP)}-{told}{end}"
            files[path] = content
            written.append(BronzeFile(path, header.fetched_at, header.sha256, header.rows, source))
        self.store.create_all(files)
        return written

    def files(self, table: str, session: str, instruments: Iterable[str]) -> list[str]:
        """The paths of a session's fetches, oldest first within each instrument."""
        names = list(instruments)
        return [path for paths in self._found(table, [session], names).values() for path in paths]

    def fetches(self, table: str) -> list[str]:
        """The paths of all fetches of a table, those that are only in the archive among them; not sorted."""
        return [*self._visible(self.store.list(table)), *self._archived(table, None)]

    def sessions(self, table: str, instruments: Iterable[str] | None = None) -> dict[str, set[str]]:
        """The sessions that were fetched, by instrument; those whose files are only in the archive are among them."""
        found: dict[str, set[str]] = {i: set() for i in instruments or ()}
        for path in self.fetches(table):
            instrument, session = _parts(path)
            if instruments is None or instrument in found:
                found.setdefault(instrument, set()).add(session)
        return found

    def read(self, table: str, sessions: Iterable[str], instruments: Iterable[str]) -> pd.DataFrame:
        """All rows of all fetches, with fetched_at, fetch_source, instrument and session; oldest fetch first.

        Raises MissingData for a session whose files are only in the archive, StoreError for a damaged file.
        """
        wanted, names = list(sessions), list(instruments)
        found = self._found(table, wanted, names)
        self._check_present(table, wanted, names, found)
        return self.read_files([path for fetches in found.values() for path in fetches])

    def read_files(self, paths: Sequence[str]) -> pd.DataFrame:
        """All rows of some fetches, as `read` returns them; files that are gone meanwhile are left out."""

        def contents() -> Iterator[tuple[str, bytes]]:
            for first in range(0, len(paths), _READ_AT_ONCE):
                some = paths[first : first + _READ_AT_ONCE]
                content = self.store.read_all(some)
                yield from ((f"{self.store.url}/{path}", content[path]) for path in some if path in content)

        return decode(contents())

    def sweep(self, table: str) -> int:
        """Remove temporaries that killed writers left more than an hour ago; returns how many."""
        return self.store.sweep(table)

    def digest(self, table: str, session: str, instruments: Iterable[str]) -> str:
        """What a session's rows are, told from file names alone: changes when a fetch brings something new.

        A repeated equal fetch changes nothing. Of equal fetches only the last one counts, as for a reader.
        """
        return self.digests(table, [session], instruments)[session]

    def digests(self, table: str, sessions: Iterable[str], instruments: Iterable[str]) -> dict[str, str]:
        """`digest` of many sessions; files that are only in the archive count as if they were here."""
        wanted, names = list(sessions), list(instruments)
        archived = self._archived(table, wanted)
        found = self._found(table, wanted, names, archived)
        made = {session: hashlib.sha256() for session in wanted}
        for (session, instrument), paths in found.items():
            hashes = [_name(path).removesuffix(SUFFIX).removesuffix(PART).partition("-")[2] for path in paths]
            last = list(dict.fromkeys(reversed(hashes)))
            if last:
                made[session].update(f"{instrument}:{','.join(reversed(last))};".encode())
        return {session: digest.hexdigest() for session, digest in made.items()}

    def _found(
        self, table: str, sessions: Sequence[str], instruments: Sequence[str], more: Iterable[str] = ()
    ) -> dict[tuple[str, str], list[str]]:
        """Paths by (session, instrument), in that order, oldest fetch first. more: paths that count as well."""
        found: dict[tuple[str, str], set[str]] = {(s, i): set() for s in sessions for i in instruments}
        for instrument in instruments:
            if len(sessions) > _LIST_WHOLE:
                folders = [f"{table}/instrument={instrument}"]
            else:
                folders = [place(table, instrument, session) for session in sessions]
            for path in self._visible(path for folder in folders for path in self.store.list(folder)):
                if (key := (_parts(path)[1], instrument)) in found:
                    found[key].add(path)
        for path in more:
            instrument, session = _parts(path)
            if (key := (session, instrument)) in found:
                found[key].add(path)
        return {key: sorted(paths) for key, paths in found.items()}

    def shows(self, path: str) -> bool:
        """Whether a file had been written by the moment `as_of`; its name begins with when it was."""
        return self._until is None or _name(path) < self._until

    def _visible(self, paths: Iterable[str]) -> list[str]:
        return [p for p in paths if p.endswith(SUFFIX) and self.shows(p)]

    def _archived(self, table: str, sessions: Sequence[str] | None) -> list[str]:
        """Paths that the lists of archived files name, for the months of `sessions` (all of them for None)."""
        months = None if sessions is None else {session[:7] for session in sessions}
        lists = [
            path
            for path in self.store.list(f"{ARCHIVED}/{_name(table)}")
            if months is None or _name(path).partition(".")[0] in months
        ]
        contents = self.store.read_all(lists) if lists else {}
        return self._visible(path for content in contents.values() for path in msgspec.json.decode(content)["files"])

    def _check_present(
        self, table: str, sessions: Sequence[str], instruments: Sequence[str], found: dict[tuple[str, str], list[str]]
    ) -> None:
        have = {path for paths in found.values() for path in paths}
        among, asked = set(instruments), set(sessions)
        gone = [p for p in self._archived(table, sessions) if p not in have]
        gone = [p for p in gone if _parts(p)[0] in among and _parts(p)[1] in asked]
        if gone:
            months = sorted({_parts(path)[1][:7] for path in gone})
            told = ", ".join(months[:6]) + (" ..." if len(months) > 6 else "")
            raise MissingData(
                f"{table}: {len(gone)} files of {told} were archived and removed from {self.store.url}. "
                f"Bring them back with `fx archive restore --month {months[0]}`."
            )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _parts(path: str) -> tuple[str, str]:
    """Instrument and session of a file's path."""
    *_, instrument, session, _ = path.split("/")
    return instrument.partition("=")[2], session.partition("=")[2]

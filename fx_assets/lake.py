"""The lake: silver, gold and model tables as one Parquet file per partition in hive folders.

    <lake>/gold/features/session=2021-03-01/part.parquet

Reading and atomic writing only, over a store (a folder or an object store). What a table contains is schemas.py's
business, when it is made Dagster's, and the bytes of a file partition_file.py's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fx_assets.configuration import load_configuration
from fx_assets.configuration.data import Storage
from fx_assets.cores import cores
from fx_assets.errors import ConfigError, DataError, MissingData, StoreError
from fx_assets.lineage import Stamp
from fx_assets.partition_file import FOOTER_SIZE, encode_frame, footer_size, stamp_in, stamp_of
from fx_assets.sessions import session_keys
from fx_assets.storage import Store, open_store
from fx_assets.storage.local import LocalStore
from fx_serving.client.home import Stores, fx_home

_READERS = 4  # decoding is work: more threads than cores gain nothing on a disk
_WAITERS = 16  # on an object store they wait


class Lake:
    """Tables in one store. Safe for several processes: a file is replaced whole or not at all."""

    def __init__(self, root: Path | str | Store):
        self.store: Store = open_store(root) if isinstance(root, (str, Path)) else root
        self._local = isinstance(self.store, LocalStore)

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self.store.url

    @property
    def root(self) -> Path:
        """The folder. Raises ConfigError for an object store."""
        if isinstance(self.store, LocalStore):
            return self.store.root
        raise ConfigError(
            f"data.yaml: storage.lake: {self.url} is no folder, and this step needs one. "
            "Use a folder there, or leave it out for FX_HOME/lake."
        )

    def where(self, table: str, key: str) -> str:
        """The file of one partition, as a path in the store."""
        return f"{table}/session={key}/part.parquet"

    def path(self, table: str, key: str) -> Path:
        """The file of one partition. Raises ConfigError for an object store."""
        return self.root / self.where(table, key)

    def keys(self, table: str) -> list[str]:
        """The partitions that exist, sorted."""
        if self._local:
            found = (self.root / table).glob("session=*/part.parquet")
            return sorted(path.parent.name.partition("=")[2] for path in found)
        names = (path.rsplit("/", 2) for path in self.store.list(table) if path.endswith("/part.parquet"))
        return sorted(parts[1].removeprefix("session=") for parts in names if parts[0] == table)

    def write(self, table: str, frames: Mapping[str, pd.DataFrame]) -> int:
        """Write partitions atomically, without stamps; returns bytes written."""
        files = {self.where(table, key): encode_frame(frame) for key, frame in frames.items()}
        self.store.write_all(files)
        return sum(map(len, files.values()))

    def stage(self, table: str, files: Mapping[str, bytes]) -> list[str]:
        """Write partitions' bytes durably without showing them; returns a token for each, in order."""
        return self.store.stage_all({self.where(table, key): content for key, content in files.items()})

    def publish(self, tokens: Iterable[str]) -> None:
        """Show what was staged."""
        self.store.publish(tokens)

    def discard(self, tokens: Iterable[str]) -> None:
        """Forget what was staged."""
        self.store.discard(tokens)

    def stamp(self, table: str, key: str) -> Stamp | None:
        """What a partition was made of; None for one without a stamp. Raises MissingData when it is not there."""
        found = self.stamps(table, [key])
        if key not in found:
            raise MissingData(f"{table}: no file for session {key}. Run `fx backfill --from {key} --to {key}`.")
        return found[key]

    def stamps(self, table: str, keys: Iterable[str] | None = None) -> dict[str, Stamp | None]:
        """Stamps of the partitions that exist among `keys` (all by default), None for one without; footers only."""
        wanted = self.keys(table) if keys is None else list(keys)

        def read(key: str) -> tuple[str, Stamp | None, bool]:
            try:
                return key, self._stamp(self.where(table, key)), True
            except FileNotFoundError:
                return key, None, False

        if self._local:  # a footer in the page cache is read faster than handed to a thread
            found = map(read, wanted)
        else:
            with ThreadPoolExecutor(_WAITERS) as pool:
                found = list(pool.map(read, wanted))
        return {key: stamp for key, stamp, there in found if there}

    def _footer(self, where: str) -> bytes:
        """A file's last bytes, its whole footer among them."""
        tail = self.store.tail(where, FOOTER_SIZE)
        size = footer_size(tail)
        return tail if size <= len(tail) else self.store.tail(where, size)

    def _stamp(self, where: str) -> Stamp | None:
        with _whole(f"{self.url}/{where}"):
            return stamp_in(self._footer(where))

    def read(self, table: str, keys: Iterable[str], columns: list[str] | None = None) -> dict[str, pd.DataFrame]:
        """The partitions that exist among `keys`, by key. The caller decides what a missing one means."""
        return {key: part.to_pandas() for key, (part, _) in self.read_tables(table, keys, columns).items()}

    def read_tables(
        self, table: str, keys: Iterable[str], columns: list[str] | None = None
    ) -> dict[str, tuple[pa.Table, Stamp | None]]:
        """As `read`, as Arrow tables with their stamps."""

        def load(key: str) -> tuple[str, tuple[pa.Table, Stamp | None] | None]:
            where = self.where(table, key)
            try:
                source = f"{self.url}/{where}" if self._local else pa.BufferReader(self.store.read(where))
                with _whole(f"{self.url}/{where}"), pq.ParquetFile(source, pre_buffer=False) as file:
                    # One file, without the dataset layer, which would add the folder's name as a column.
                    # Nothing is fetched ahead: it is in memory already, or in the page cache.
                    return key, (file.read(columns=columns, use_threads=False), stamp_of(file))
            except FileNotFoundError:
                return key, None

        with ThreadPoolExecutor(min(_READERS, cores()) if self._local else _WAITERS) as pool:
            return {key: found for key, found in pool.map(load, keys) if found is not None}

    def table(
        self,
        name: str,
        start: str | date | datetime | None = None,
        end: str | date | datetime | None = None,
        instruments: Iterable[str] | None = None,
        columns: list[str] | None = None,
    ) -> pd.DataFrame:
        """A table as one frame, sorted as stored: by session, then by the table's key.

        name: such as "gold/features". start, end: sessions (YYYY-MM-DD), both included; or UTC times, with
        start <= time < end (available_at for tables without time). instruments: symbols; all by default, and all
        rows of tables that are not about instruments. columns: a selection; all by default.
        Raises MissingData when the table has no partition at all in the range, ValueError for what is no date,
        TypeError for a time without zone.
        """
        first, last = _first_key(start), _last_key(end)
        keys = [k for k in self.keys(name) if (first is None or k >= first) and (last is None or k <= last)]
        if not keys:
            have = self.keys(name)
            span = f"there are {have[0]} to {have[-1]}" if have else "there is none"
            wanted = "" if start is None and end is None else f" from {start or 'the start'} to {end or 'the end'}"
            raise MissingData(
                f"{name}: no partition{wanted} in {self.url}; {span}. "
                "Check the home folder, or run `fx backfill --from D --to D`."
            )
        there = pq.read_schema(pa.BufferReader(self._footer(self.where(name, keys[0])))).names
        clock = "time" if "time" in there else "available_at"
        symbols = None if instruments is None or "instrument" not in there else _symbols(instruments)
        # What rows are chosen by must be read even where it is not wanted.
        chooses = [*([clock] if isinstance(start, datetime) or isinstance(end, datetime) else [])]
        chooses += [] if symbols is None else ["instrument"]
        needed = None if columns is None else list(dict.fromkeys([*columns, *chooses]))
        frame = concatenated(part for part, _ in self.read_tables(name, keys, needed).values())
        if isinstance(start, datetime):
            frame = frame[frame[clock] >= pd.Timestamp(start)]
        if isinstance(end, datetime):
            frame = frame[frame[clock] < pd.Timestamp(end)]
        if symbols is not None:
            frame = frame[frame["instrument"].isin(symbols)]
        return (frame if columns is None else frame[columns]).reset_index(drop=True)

    def sweep(self, table: str) -> int:
        """Remove temporaries that a killed process left more than an hour ago; returns how many."""
        return self.store.sweep(table)


def concatenated(parts: Iterable[pa.Table]) -> pd.DataFrame:
    """Arrow tables of one table, one below the other."""
    return pa.concat_tables(parts, promote_options="default").to_pandas()


@contextlib.contextmanager
def _whole(where: str) -> Iterator[None]:
    """A file that is no Parquet file, in words."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{where}: cannot be read: {str(error).splitlines()[0]}. Remove the file and run `fx backfill`."
        ) from None
    except OSError as error:
        raise StoreError(f"{where}: cannot be read: {error}. Check the disk, and run it again.") from None


def _first_key(value: str | date | datetime | None) -> str | None:
    """The first session that may hold rows from `value` on, whether or not weekends are sessions."""
    return _key(value, all_week=True)


def _last_key(value: str | date | datetime | None) -> str | None:
    """The last session that may hold rows before `value`."""
    return _key(value, all_week=False)


def _key(value: str | date | datetime | None, all_week: bool) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return session_keys(pd.DatetimeIndex([pd.Timestamp(value)]), all_week)[0]
    day = value if isinstance(value, date) else date.fromisoformat(value)
    return day.isoformat()


def _symbols(instruments: Iterable[str]) -> list[str]:
    return [instruments] if isinstance(instruments, str) else list(instruments)


def lake_root(home: Path, storage: Storage | None = None) -> Path | str:
    """Where a home's lake is: what data.yaml says, else a folder of the home."""
    given = storage.lake if storage is not None else None
    if not given:
        return Stores(home).lake
    return given if "://" in given else Path(given).expanduser()


def open_lake(home: str | Path | None = None) -> Lake:
    """The lake of FX_HOME, or of another home: where data.yaml says, else in the home itself.

    data.yaml is FX_HOME's; another home's own one is not looked at, and that home's folder is opened.
    """
    if home is not None:
        return Lake(Stores(Path(home)).lake)
    return Lake(lake_root(fx_home(), load_configuration().data.storage))

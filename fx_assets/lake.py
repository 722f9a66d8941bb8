"""The lake: silver, gold and model tables as one Parquet file per partition in hive folders.

    <home>/lake/gold/features/session=2021-03-01/part.parquet

Reading and atomic writing only. What a table contains is schemas.py's business, when it is made Dagster's.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fx_assets.errors import MissingData
from fx_assets.sessions import session_keys
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores, fx_home

_WRITERS = 4  # fsyncs of different files overlap; more threads gain nothing measurable
STALE_TEMPORARY_S = 3600


class Lake:
    """Tables below one root folder. Safe for several processes: a file is replaced whole or not at all."""

    def __init__(self, root: Path):
        self.root = Path(root)

    def path(self, table: str, key: str) -> Path:
        """The file of one partition."""
        return self.root / table / f"session={key}" / "part.parquet"

    def keys(self, table: str) -> list[str]:
        """The partitions that exist, sorted."""
        return sorted(path.parent.name.partition("=")[2] for path in (self.root / table).glob("session=*/part.parquet"))

    def write(self, table: str, frames: Mapping[str, pd.DataFrame]) -> int:
        """Write partitions atomically (temporary file, fsync, rename); returns bytes written."""
        with ThreadPoolExecutor(_WRITERS) as pool:
            return sum(pool.map(lambda item: self._write_one(table, *item), frames.items()))

    def _write_one(self, table: str, key: str, frame: pd.DataFrame) -> int:
        arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        buffer = io.BytesIO()
        pq.write_table(arrow, buffer, compression="zstd")
        content = buffer.getvalue()
        atomic_write(self.path(table, key), content)
        return len(content)

    def read(self, table: str, keys: Iterable[str], columns: list[str] | None = None) -> dict[str, pd.DataFrame]:
        """The partitions that exist among `keys`, by key. The caller decides what a missing one means."""

        def load(key: str) -> tuple[str, pd.DataFrame | None]:
            try:
                # One file, without the dataset layer, which would add the folder's name as a column.
                return key, pq.ParquetFile(self.path(table, key)).read(columns=columns).to_pandas()
            except FileNotFoundError:
                return key, None

        with ThreadPoolExecutor(_WRITERS) as pool:
            return {key: frame for key, frame in pool.map(load, keys) if frame is not None}

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
                f"{name}: no partition{wanted} in {self.root}; {span}. "
                "Check the home folder, or run `fx backfill --from D --to D`."
            )
        there = pq.read_schema(self.path(name, keys[0])).names
        clock = "time" if "time" in there else "available_at"
        symbols = None if instruments is None or "instrument" not in there else _symbols(instruments)
        # What rows are chosen by must be read even where it is not wanted.
        chooses = [*([clock] if isinstance(start, datetime) or isinstance(end, datetime) else [])]
        chooses += [] if symbols is None else ["instrument"]
        needed = None if columns is None else list(dict.fromkeys([*columns, *chooses]))
        frame = pd.concat(self.read(name, keys, needed).values(), ignore_index=True)
        if isinstance(start, datetime):
            frame = frame[frame[clock] >= pd.Timestamp(start)]
        if isinstance(end, datetime):
            frame = frame[frame[clock] < pd.Timestamp(end)]
        if symbols is not None:
            frame = frame[frame["instrument"].isin(symbols)]
        return (frame if columns is None else frame[columns]).reset_index(drop=True)

    def sweep(self, table: str, now: float) -> int:
        """Remove temporaries that a killed process left more than an hour ago; returns how many."""
        swept = 0
        for path in (self.root / table).glob("session=*/.*.tmp"):
            # A writer at work renames its temporary at any moment.
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime > STALE_TEMPORARY_S:
                    path.unlink()
                    swept += 1
        return swept


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


def open_lake(home: str | Path | None = None) -> Lake:
    """The lake of FX_HOME, or of another home."""
    return Lake(Stores(Path(home) if home is not None else fx_home()).lake)

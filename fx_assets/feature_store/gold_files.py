"""Reading gold/features for Feast: the files that can hold what is asked for, one query over them, and the as-of
search. Imported inside functions only, as everything that loads DuckDB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from fx_assets.errors import DataError, MissingData

HIVE = "session=*"
SESSION = re.compile(r"session=(\d{4}-\d{2}-\d{2})")
# A session's key is the New York date of its first minute; its last bar, a day's, closes within four days of that.
AFTER, BEFORE = timedelta(days=1), timedelta(days=5)


def newest_at(keys: np.ndarray, times: np.ndarray, asked_keys: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """For each asked (key, time), the row of the newest time not after it, -1 for none. Rows: sorted by key, time."""
    found = np.full(len(asked), -1, np.int64)
    if not len(keys):
        return found
    symbols, starts = np.unique(keys, return_index=True)
    ends = np.append(starts[1:], len(keys))
    for symbol, start, end in zip(symbols, starts, ends, strict=True):
        mine = np.flatnonzero(asked_keys == symbol)
        place = np.searchsorted(times[start:end], asked[mine], side="right") - 1
        found[mine] = np.where(place >= 0, place + start, -1)
    return found


def session_files(pattern: str, start: datetime | None, end: datetime) -> list[str]:
    """The files of a hive path that can hold rows of start to end. Raises MissingData when there is no file at all."""
    root = Path(pattern.partition(f"/{HIVE}")[0])
    name = pattern.rpartition("/")[2]
    found = sorted(root.glob(f"{HIVE}/{name}"))
    if not found:
        raise MissingData(f"{root}: no session has been made. Run `fx backfill --from D --to D`.")
    first = date.min if start is None else (start - BEFORE).date()
    last = (end + AFTER).date()
    chosen = [path for path in found if first <= _session(path) <= last]
    return [str(path) for path in chosen or found[:1]]  # one gives the columns of an empty answer


def _session(path: Path) -> date:
    match = SESSION.fullmatch(path.parent.name)
    if match is None:
        raise DataError(f"{path}: its folder names no session such as session=2021-03-01. Remove the folder.")
    return date.fromisoformat(match[1])


def select(
    sql: str, files: Sequence[str], columns: Sequence[str], values: Mapping[str, Any] | None = None, named: bool = False
) -> pa.Table:
    """A query over files; {source} stands for them. A column that only some have is null elsewhere.

    Raises DataError for a column that no file has.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        given = {"files": list(files), **(values or {})}
        # Matching columns file by file costs three times as much, and is needed only where the columns have changed.
        for union in (False, True):
            options = f"union_by_name = {union}, hive_partitioning = false, filename = {named}"
            try:
                source = f"read_parquet($files, {options})"
                return connection.sql(sql.format(source=source), params=given).to_arrow_table()
            except (duckdb.BinderException, duckdb.InvalidInputException) as error:
                if "not found" not in str(error) and "could not be found" not in str(error):
                    raise
                if union:
                    lost = [name for name in columns if f'"{name}"' in str(error)]
                    raise DataError(
                        f"{Path(files[0]).parents[1]}: no session from {_session(Path(files[0]))} to "
                        f"{_session(Path(files[-1]))} has {', '.join(lost) or 'the columns asked for'}. "
                        "Backfill gold/features, or use a feature service whose features it has."
                    ) from None
    raise AssertionError("the second pass returns or raises")


def quoted(columns: Sequence[str]) -> str:
    """Column names for a query."""
    return ", ".join(f'"{name}"' for name in columns)


def micros(times: pa.ChunkedArray) -> np.ndarray:
    """Times as microseconds since 1970, UTC."""
    return times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()

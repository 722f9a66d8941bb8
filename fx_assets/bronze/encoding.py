"""One fetch as gzip NDJSON and back: a header line, then one line for each row. Bytes and frames only, no storage.

Rows are encoded as typed records and decoded into columns: a dict for each row would take several times as long.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from fx_assets.errors import StoreError

TIMES = ("time", "published", "first_seen")
_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume", *(f"{side}_{price}" for side in ("bid", "ask") for price in _PRICES))
# Without a type of its own, a column of texts that all look like times would be read as times.
_TEXTS = ("headline", "source", "url", "language")
_KNOWN = {
    **dict.fromkeys(TIMES, pa.timestamp("us", "UTC")),
    **dict.fromkeys(_NUMBERS, pa.float64()),
    **dict.fromkeys(_TEXTS, pa.string()),
}
# Measured on minute candles: level 4 takes a third of level 6's time for files 10 % larger.
_GZIP_LEVEL = 4
_GZIP_WINDOW = 31  # zlib's number for "with a gzip header", whose checksum it verifies
_BATCH_ROWS = 50_000
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Fetched:
    """The header of a file: what was asked of whom, when (UTC), how many rows followed and their sha256."""

    table: str
    instrument: str
    session: str
    source: str
    fetched_at: datetime
    rows: int
    sha256: str


def records(rows: pd.DataFrame) -> list[Any]:
    """Rows as records that `encode` takes. Times become ISO 8601 in UTC, missing values null.

    Raises TypeError for times without zone.
    """
    if rows.empty:
        return []
    columns = [_plain(str(name), column) for name, column in rows.items()]
    record = _record(tuple(str(name) for name in rows.columns))
    return list(map(record, *columns))


def encode(
    table: str, instrument: str, session: str, source: str, rows: Sequence[Any], fetched_at: datetime
) -> tuple[Fetched, bytes]:
    """The header and the content of a fetch's file; rows as `records` makes them. Equal ones make equal bytes."""
    body = _ENCODER.encode_lines(rows)
    header = Fetched(
        table, instrument, session, source, fetched_at.astimezone(UTC), len(rows), hashlib.sha256(body).hexdigest()
    )
    told = {
        "table": table,
        "instrument": instrument,
        "session": session,
        "source": source,
        "fetched_at": header.fetched_at.isoformat(),
        "rows": header.rows,
        "sha256": header.sha256,
    }
    line = _ENCODER.encode(told) + b"\n"
    return header, gzip.compress(line + body, compresslevel=_GZIP_LEVEL, mtime=0)


def decode(files: Iterable[tuple[str, bytes]]) -> pd.DataFrame:
    """All rows of files (path for errors, content), in order, with fetched_at, fetch_source, instrument and session.

    Prices and volumes are float64, times datetime64[us, UTC]. A column that only some files have is missing in the
    others. Raises StoreError for a damaged file.
    """
    parts = [_frame(batch) for batch in _batches(files)]
    if len(parts) > 1:
        return pd.concat(parts, ignore_index=True)
    return parts[0] if parts else pd.DataFrame()


def _plain(name: str, column: pd.Series) -> list:
    """A column as JSON knows it: str, float, int, bool, None. (Not-a-number is written as null by msgspec.)"""
    if name in TIMES or isinstance(column.dtype, pd.DatetimeTZDtype):
        if not isinstance(column.dtype, pd.DatetimeTZDtype):
            raise TypeError(f"bronze: column {name} has no time zone; give it as UTC.")
        moments = column.to_numpy("datetime64[us]")  # in UTC, whatever the zone
        text = np.char.add(np.datetime_as_string(moments, unit="us"), "Z").tolist()
        missing = np.isnat(moments)
        return [None if gone else t for gone, t in zip(missing, text, strict=True)] if missing.any() else text
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return column.tolist()
    nothing: Any = None
    return column.astype(object).where(column.notna(), nothing).tolist()


@lru_cache(maxsize=64)
def _record(names: tuple[str, ...]) -> Any:
    """The record type of some columns. Its fields are numbered, since a column may have any name."""

    fields: list[Any] = [(f"f{number}", Any) for number in range(len(names))]
    rename = {f"f{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct("Row", fields, rename=rename, gc=False)


@dataclass
class _Opened:
    """An opened file: where it lies, its header, its rows as bytes."""

    path: str
    header: dict[str, Any]
    body: bytes


def _open(path: str, content: bytes) -> _Opened:
    try:
        line, _, body = zlib.decompress(content, _GZIP_WINDOW).partition(b"\n")
        return _Opened(path, msgspec.json.decode(line), body)
    except (zlib.error, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> StoreError:
    return StoreError(
        f"{path}: is damaged ({error}). Bring its month back with `fx archive restore --month YYYY-MM`, or move the "
        "file away and fetch its session again with `fx backfill`."
    )


def _batches(files: Iterable[tuple[str, bytes]]) -> Iterator[list[_Opened]]:
    """Files with rows, in batches: many small ones share what a decoding costs, and a large range is not in memory as
    records at once.
    """
    batch: list[_Opened] = []
    rows = 0
    for path, content in files:
        opened = _open(path, content)
        if opened.header["rows"]:
            batch.append(opened)
            rows += opened.header["rows"]
        if rows >= _BATCH_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _frame(batch: Sequence[_Opened]) -> pd.DataFrame:
    try:
        table = _parse(batch)
    except _Unreadable as error:
        raise _damaged(_culprit(batch), error) from None
    counts = [f.header["rows"] for f in batch]
    moments = np.array([_naive(f.header["fetched_at"]) for f in batch], dtype="datetime64[us]")
    frame = table.to_pandas()
    frame["fetched_at"] = pd.DatetimeIndex(np.repeat(moments, counts)).tz_localize("UTC")
    frame["fetch_source"] = _repeated([f.header["source"] for f in batch], counts)
    frame["instrument"] = _repeated([f.header["instrument"] for f in batch], counts)
    frame["session"] = _repeated([f.header["session"] for f in batch], counts)
    return frame


def _parse(batch: Sequence[_Opened]) -> pa.Table:
    """All rows of a batch. Columns that we know have their type whatever is in them; others are inferred."""
    import pyarrow.json

    try:
        firsts = [msgspec.json.decode(f.body.partition(b"\n")[0], type=dict) for f in batch]
        names = dict.fromkeys(name for first in firsts for name in first)
        body = b"".join(f.body for f in batch)
        table = pyarrow.json.read_json(
            pa.BufferReader(body),
            # One block: types must not be inferred from a part of the rows.
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            pyarrow.json.ParseOptions(pa.schema([(n, _KNOWN[n]) for n in names if n in _KNOWN])),
        )
    except (ValueError, pa.ArrowException) as error:
        raise _Unreadable(str(error).splitlines()[0]) from None
    if table.num_rows != sum(f.header["rows"] for f in batch):
        raise _Unreadable("it has more or fewer rows than its header says")
    return table.select(list(names))


class _Unreadable(Exception):
    """Rows that are not what the header says."""


def _culprit(batch: Sequence[_Opened]) -> str:
    """The file of a batch that cannot be read."""
    for file in batch:
        try:
            _parse([file])
        except _Unreadable:
            return file.path
    return batch[0].path


def _naive(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone(UTC).replace(tzinfo=None)


def _repeated(values: Sequence[str], counts: Sequence[int]) -> np.ndarray:
    return np.repeat(np.array(values, dtype=object), counts)

"""A table's rows as they are stored, in chunks: a long file is never held in memory whole.

A file of an object store is, while its rows are read.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fx_assets.compare.places import Part
from fx_assets.errors import DataError
from fx_assets.storage import Store
from fx_assets.storage.local import LocalStore

CHUNK = 100_000


def chunks(store: Store, part: Part) -> Iterator[pd.DataFrame]:
    """The rows of one file. Raises DataError with file, cause and remedy for one that cannot be read."""
    where = f"{store.url}/{part.path}"
    try:
        with _opened(store, part.path) as file:
            yield from _READERS[part.kind](file)
    except FileNotFoundError:
        raise DataError(f"{where}: is gone since the folder was listed. Run it again.") from None
    except (ValueError, EOFError, OSError, zlib.error, pa.ArrowException) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{where}: cannot be read as {part.kind}: {told}. Export it again, or remove it.") from None


def _opened(store: Store, path: str) -> IO[bytes]:
    packed = path.lower().endswith((".gz", ".gzip"))
    if isinstance(store, LocalStore):
        return cast(IO[bytes], (gzip.open if packed else open)(store.path(path), "rb"))
    content = io.BytesIO(store.read(path))
    return cast(IO[bytes], gzip.open(content)) if packed else content


def _csv(file: IO[bytes]) -> Iterator[pd.DataFrame]:
    try:
        # The last bit of a price counts.
        reader = pd.read_csv(file, chunksize=CHUNK, float_precision="round_trip", index_col=False)
    except pd.errors.EmptyDataError:
        return
    while True:
        with warnings.catch_warnings():
            # A line with more values than the header would lose them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                frame = reader.get_chunk()
            except StopIteration:
                return
            except pd.errors.ParserWarning:
                raise ValueError("a row has more values than the header has names") from None
        yield frame


def _ndjson(file: IO[bytes]) -> Iterator[pd.DataFrame]:
    records: list[dict[str, Any]] = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            records.append(msgspec.json.decode(line, type=dict[str, Any]))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from None
        if len(records) == CHUNK:
            yield pd.DataFrame.from_records(records)
            records = []
    if records:
        yield pd.DataFrame.from_records(records)


def _parquet(file: IO[bytes]) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(file, pre_buffer=False) as table:
        if table.metadata.num_rows == 0:
            yield _frame(table.schema_arrow.empty_table())
        for batch in table.iter_batches(CHUNK, use_threads=False):
            yield _frame(pa.Table.from_batches([batch]))


def _frame(table: pa.Table) -> pd.DataFrame:
    """With the index that a frame was saved with as columns again."""
    frame = table.to_pandas()
    return frame.reset_index([name for name in frame.index.names if name is not None]).reset_index(drop=True)


_READERS = {
    ".csv": _csv,
    **dict.fromkeys((".ndjson", ".jsonl"), _ndjson),
    **dict.fromkeys((".parquet", ".pq"), _parquet),
}

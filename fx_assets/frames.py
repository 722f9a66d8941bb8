"""Writing a frame to a file whose name says the format, atomically."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from fx_assets.errors import DataError
from fx_serving.client.files import atomic_write

FORMATS = (".csv", ".parquet", ".ndjson")
_CHUNK = 20_000


def frame_format(path: Path) -> tuple[str, bool]:
    """The format a file name asks for (one of FORMATS), and whether gzipped. Raises DataError for another ending."""
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    kind = next(iter(suffixes[-2:-1] if packed else suffixes[-1:]), "")
    if kind not in FORMATS:
        raise DataError(f"{path}: unknown format. End the name in {', '.join(FORMATS)}, or in one of these with .gz.")
    return kind, packed


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write .csv, .ndjson (both also .gz) or .parquet; floats in CSV and NDJSON keep every bit.

    Missing values are empty in CSV and null in NDJSON. Raises DataError for another ending.
    """
    kind, packed = frame_format(path)
    buffer = io.BytesIO()
    if kind == ".parquet":
        frame.to_parquet(buffer, index=False)
    elif kind == ".csv":
        # An order of magnitude faster than pandas' writer, and as exact; only the header would come out quoted.
        buffer.write((",".join(map(str, frame.columns)) + "\n").encode())
        options = csv.WriteOptions(include_header=False, quoting_style="needed")
        csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, options)
    else:
        for start in range(0, len(frame), _CHUNK):
            buffer.writelines(_json_lines(frame.iloc[start : start + _CHUNK]))
    content = buffer.getvalue()
    atomic_write(path, gzip.compress(content, mtime=0) if packed else content)


def _json_lines(rows: pd.DataFrame) -> list[bytes]:
    """pandas' own to_json cuts floats after 15 decimals."""
    nothing: Any = None
    records = rows.astype(object).where(rows.notna(), nothing).to_dict("records")
    return [msgspec.json.encode(record, enc_hook=pd.Timestamp.isoformat) + b"\n" for record in records]

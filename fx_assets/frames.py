"""Writing a frame to a file whose name says the format, atomically."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd

from fx_serving.client.files import atomic_write


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write .csv, .ndjson (both also .gz) or .parquet; floats in CSV and NDJSON keep every bit.

    Raises ValueError for another ending.
    """
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    kind = suffixes[-2] if packed and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    buffer = io.BytesIO()
    if kind == ".parquet":
        frame.to_parquet(buffer, index=False)
    elif kind == ".csv":
        frame.to_csv(buffer, index=False)
    elif kind == ".ndjson":
        frame.to_json(buffer, orient="records", lines=True, date_format="iso", date_unit="us", double_precision=15)
    else:
        raise ValueError(f"{path}: '{kind}' is no known format")
    content = buffer.getvalue()
    atomic_write(path, gzip.compress(content, mtime=0) if packed else content)

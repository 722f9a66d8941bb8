"""Bronze files: gzip NDJSON, one for each fetch, written once and never touched again.

    <lake>/bronze/candles/instrument=GBP_USD/session=2022-03-03/20220304T220000.000000Z-1f2e3d4c5b6a.ndjson.gz

The first line tells about the fetch, each further line is one row as it came. A later fetch of the same session
adds a file; readers let the newest fetch win, row by row.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from fx_serving.client.files import atomic_write

CANDLES = "bronze/candles"
NEWS = "bronze/news"
ALL_NEWS = "all"  # news is not fetched by instrument
TIMES = ("time", "published", "first_seen")
_READERS = 4


@dataclass(frozen=True)
class BronzeFile:
    """One fetch: where it lies, when it was made, the sha256 of its rows, and how many there are."""

    path: Path
    fetched_at: datetime
    sha256: str
    rows: int


class Bronze:
    """The append-only store below one lake root."""

    def __init__(self, root: Path):
        self.root = Path(root)

    def folder(self, table: str, instrument: str, session: str) -> Path:
        """Where the fetches of one instrument and session lie."""
        return self.root / table / f"instrument={instrument}" / f"session={session}"

    def append(
        self, table: str, instrument: str, session: str, source: str, rows: pd.DataFrame, fetched_at: datetime
    ) -> BronzeFile:
        """Write one fetch to a new file, atomically and durably. Times become ISO 8601 in UTC."""
        body = b"".join(msgspec.json.encode(row) + b"\n" for row in _records(rows))
        digest = hashlib.sha256(body).hexdigest()
        stamp = fetched_at.astimezone(UTC)
        header = {
            "table": table,
            "instrument": instrument,
            "session": session,
            "source": source,
            "fetched_at": stamp.isoformat(),
            "rows": len(rows),
            "sha256": digest,
        }
        path = self.folder(table, instrument, session) / f"{stamp:%Y%m%dT%H%M%S.%fZ}-{digest[:12]}.ndjson.gz"
        content = gzip.compress(msgspec.json.encode(header) + b"\n" + body, compresslevel=5, mtime=0)
        atomic_write(path, content)
        return BronzeFile(path, stamp, digest, len(rows))

    def files(self, table: str, session: str, instruments: Iterable[str]) -> list[Path]:
        """The fetches of a session, oldest first within each instrument."""
        return [p for i in instruments for p in sorted(self.folder(table, i, session).glob("*.ndjson.gz"))]

    def read(self, table: str, sessions: Iterable[str], instruments: Iterable[str]) -> pd.DataFrame:
        """All rows of all fetches, with fetched_at, source and (for candles) instrument; oldest fetch first."""
        names = list(instruments)
        paths = [path for session in sessions for path in self.files(table, session, names)]
        with ThreadPoolExecutor(_READERS) as pool:
            records = [record for part in pool.map(_read, paths) for record in part]
        frame = pd.DataFrame.from_records(records)
        for name in (*TIMES, "fetched_at"):
            if name in frame.columns:
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
        return frame


def _records(rows: pd.DataFrame) -> list[dict]:
    frame = rows.copy()
    for name in TIMES:
        if name in frame.columns:
            frame[name] = frame[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    nothing: Any = None
    return frame.astype(object).where(frame.notna(), nothing).to_dict("records")


def _read(path: Path) -> list[dict]:
    header, *lines = gzip.decompress(path.read_bytes()).splitlines()
    fetch = msgspec.json.decode(header)
    extra = {
        "fetched_at": fetch["fetched_at"],
        "fetch_source": fetch["source"],
        "instrument": fetch["instrument"],
    }
    rows = msgspec.json.decode(b"[" + b",".join(lines) + b"]")
    return [{**row, **extra} for row in rows]

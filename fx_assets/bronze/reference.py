"""Bronze copies of the reference files that data.yaml names: whole files, written once and never touched again.

    <lake>/bronze/economic/20220304T220000.000000Z-1f2e3d4c5b6a.csv

The name tells when the file was copied and, by the hash of its content, whether two copies are the same; it keeps the
file's own ending. The newest copy is the one in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.errors import DataError, StoreError
from fx_assets.features.blocks import MINUTE_US, moment_us, time_us
from fx_assets.features.economic import CAP
from fx_assets.inputs import BRONZE
from fx_assets.sessions import news_bounds

_STAMP = "%Y%m%dT%H%M%S.%fZ"
_HASH = 12
AHEAD_US = (CAP + 1440) * MINUTE_US  # an announced release counts ahead as far as CAP


@dataclass(frozen=True)
class Given:
    """A reference file as it is now, outside the lake. name: economic or rates. ending: such as .csv."""

    name: str
    content: bytes
    ending: str

    @property
    def table(self) -> str:
        return BRONZE + self.name

    @property
    def told(self) -> str:
        """The part of its hash that names a copy of it."""
        return hashlib.sha256(self.content).hexdigest()[:_HASH]


def fetch(configuration: Configuration, name: str) -> Given:
    """The file that data.yaml names. Raises StoreError when it cannot be read; no secrets of a URL are told."""
    from fx_assets.sources.base import SourceError
    from fx_assets.sources.file_access import Found, place_for
    from fx_assets.sources.options import Files

    path = str(getattr(configuration.data.reference, name))
    place = place_for(f"data.yaml: reference.{name}", Files(path=path))
    try:
        content = place.read(Found(path, "", 0))
    except SourceError as error:
        raise StoreError(f"{error} The newest copy in {BRONZE}{name}, if there is one, stays in use.") from None
    finally:
        place.close()
    return Given(name, content, PurePosixPath(urlsplit(path).path).suffix)


def newest(bronze: Bronze, table: str) -> str | None:
    """The path of the copy in use; None before the first one."""
    paths = [path for path in bronze.store.list(table) if bronze.shows(path)]
    return max(paths, default=None)


def is_new(bronze: Bronze, given: Given) -> bool:
    """Whether the copy in use is of another content."""
    path = newest(bronze, given.table)
    return path is None or content_of(path) != given.told


def content_of(path: str) -> str:
    """The hash in a copy's name."""
    return PurePosixPath(path).name.partition("-")[2].partition(".")[0]


def append(bronze: Bronze, given: Given, copied_at: datetime) -> str | None:
    """Copy a file, unless the copy in use has the same content; returns the new path.

    Raises DataError, and copies nothing, for a file that cannot be used.
    """
    if not is_new(bronze, given):
        return None
    parse(given.name, given.content, given.ending)
    path = f"{given.table}/{copied_at.astimezone(UTC).strftime(_STAMP)}-{given.told}{given.ending}"
    bronze.store.create_all({path: given.content})
    return path


def read(bronze: Bronze, path: str) -> pd.DataFrame:
    """A copy as its reader gives it (features/reference.py). Raises DataError for a copy that cannot be used."""
    name = PurePosixPath(path).parent.name
    return parse(name, bronze.store.read(path), PurePosixPath(path).suffix)


def parse(name: str, content: bytes, ending: str) -> pd.DataFrame:
    """A file's rows. name: economic or rates. Raises DataError naming the row, the column and the remedy."""
    from fx_assets.features.reference import read_economic, read_rates

    reader: Callable[[Path], pd.DataFrame] = {"economic": read_economic, "rates": read_rates}[name]
    with TemporaryDirectory() as folder:  # the readers take files, and a copy may lie in an object store
        path = Path(folder) / f"{name}{ending}"
        path.write_bytes(content)
        try:
            return reader(path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), f"data.yaml: reference.{name}")) from None


def session_digests(frame: pd.DataFrame, sessions: Iterable[str], all_week: bool) -> dict[str, str]:
    """For each session a digest of all rows that a value in it may be made of: those that lie before its end, or in
    the AHEAD after it, by `time` where there is one (a release that is announced), else by `available_at`.

    So rows that are added at a file's end leave the sessions long before them as they are.
    """
    moments = time_us(frame["time"] if "time" in frame.columns else frame["available_at"])
    order = np.argsort(moments, kind="stable")
    text = frame.iloc[order].astype(str)
    rows = [f"{line}\n".encode() for line in text.agg("\0".join, axis=1)] if len(text) else []
    ends = {key: moment_us(news_bounds(key, all_week)[1]) + AHEAD_US for key in sessions}
    digest, done, found = hashlib.sha256(), 0, {}
    for key in sorted(ends):
        until = int(np.searchsorted(moments[order], ends[key], side="left"))
        digest.update(b"".join(rows[done:until]))
        done, found[key] = max(done, until), digest.hexdigest()
    return found


def known_digests(
    bronze: Bronze, tables: Iterable[str], sessions: Sequence[str], all_week: bool
) -> dict[str, dict[str, str]]:
    """session_digests of the copies in use, by table; nothing for a table without a copy."""
    copies = {table: newest(bronze, table) for table in tables}
    return {
        table: {} if path is None else session_digests(read(bronze, path), sessions, all_week)
        for table, path in copies.items()
    }

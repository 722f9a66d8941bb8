"""The feature blob: recent feature rows of one view and instrument, published by the refresher, read by
workers.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fx_serving.client.bundle import valid_name
from fx_serving.client.files import atomic_write

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
REMEDY = "Run the feature refresher to publish it again."


class BlobError(Exception):
    """A feature blob is missing, torn, altered or malformed."""


class FeatureRow(msgspec.Struct, frozen=True):
    """Feature values known from `time` on (the first moment they could be known, UTC); null = no value."""

    time: Utc
    values: list[float | None]


def blob_path(features_dir: Path, view: str, instrument: str) -> Path:
    """features/<view>/<instrument>.json."""
    for name in (view, instrument):
        if not valid_name(name):
            raise BlobError(f"{name!r} is not a valid feature view or instrument name.")
    return Path(features_dir) / view / f"{instrument}.json"


def _version(view: str, instrument: str, names: Sequence[str], rows: Sequence[FeatureRow]) -> str:
    return hashlib.sha256(msgspec.json.encode([view, instrument, names, rows])).hexdigest()


class FeatureBlob(msgspec.Struct, frozen=True, kw_only=True):
    """One published blob. `rows` sorted by time, newest last; `version` is the sha256 of view, instrument, names, rows.

    code: version of the code that made the features, where it is known: what they mean. A model of another is not
    scored with them.
    """

    format: Literal[1] = 1
    view: str
    instrument: str
    version: str
    published_at: Utc
    names: list[str]
    rows: list[FeatureRow]
    code: str | None = None

    @classmethod
    def build(
        cls,
        view: str,
        instrument: str,
        names: Sequence[str],
        rows: Iterable[tuple[datetime, Sequence[float | None]]],
        code: str | None = None,
    ) -> FeatureBlob:
        """A blob from (aware event time, values in the order of `names`) pairs; NaN and infinities become
        null.

        Rows may come in any order; two rows of one time, a naive time or a wrong length raise BlobError.
        """
        where = f"feature blob {view}/{instrument}"
        made: list[FeatureRow] = []
        for time, values in rows:
            if time.tzinfo is None:
                raise BlobError(f"{where}: row time {time} has no time zone. Give aware datetimes.")
            if len(values) != len(names):
                raise BlobError(f"{where}: {len(values)} values at {time} for {len(names)} names.")
            clean = [float(v) if v is not None and math.isfinite(v) else None for v in values]
            made.append(FeatureRow(time.astimezone(UTC), clean))
        made.sort(key=lambda row: row.time)
        for before, after in itertools.pairwise(made):
            if before.time == after.time:
                raise BlobError(f"{where}: two rows at {after.time}. Keep the newest revision only.")
        names = list(names)
        return cls(
            view=view,
            instrument=instrument,
            version=_version(view, instrument, names, made),
            published_at=datetime.now(UTC),
            names=names,
            rows=made,
            code=code,
        )

    @property
    def mark(self) -> str:
        """Differs between blobs of different content or code."""
        return self.version if self.code is None else f"{self.version}:{self.code}"

    @property
    def newest(self) -> datetime | None:
        """The time of the newest row (UTC); None without rows."""
        return self.rows[-1].time if self.rows else None

    def encode(self) -> bytes:
        """The JSON that is published."""
        return msgspec.json.encode(self)

    def write(self, features_dir: Path) -> Path:
        """Publish under `features_dir` (Stores.features), atomically; returns the path."""
        path = blob_path(features_dir, self.view, self.instrument)
        atomic_write(path, self.encode())
        return path

    @classmethod
    def read(cls, path: Path) -> FeatureBlob:
        """Read and check a blob; BlobError (what, where, remedy) if it is missing, torn or does not match its
        hash.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:
            raise BlobError(f"{path}: no such feature blob. {REMEDY}") from None
        except OSError as error:
            raise BlobError(f"{path}: unreadable ({error}). {REMEDY}") from None
        return cls.decode(content, str(path))

    @classmethod
    def decode(cls, content: bytes, where: str) -> FeatureBlob:
        """The checked blob of published JSON; BlobError, with `where` it was, if it is torn or altered."""
        try:
            blob = msgspec.json.decode(content, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BlobError(f"{where}: unreadable ({error}). {REMEDY}") from None
        if any(len(row.values) != len(blob.names) for row in blob.rows):
            raise BlobError(f"{where}: a row's length differs from the list of names. {REMEDY}")
        if any(a.time >= b.time for a, b in itertools.pairwise(blob.rows)):
            raise BlobError(f"{where}: rows are not in order of time. {REMEDY}")
        if _version(blob.view, blob.instrument, blob.names, blob.rows) != blob.version:
            raise BlobError(f"{where}: content does not match its version hash. {REMEDY}")
        return blob

"""One file of a home as it stood at one moment, while other processes write.

Most files are replaced whole: whoever has opened one reads on what was opened. A SQLite file is changed in place, and
copied through SQLite itself. A log of lines only grows, and is read up to the last line that had its end. Any other
file that changes while it is read is read again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fx_assets.errors import StoreError
from fx_serving.client.databases import copy_online

LINES = (".ndjson", ".journal")
_MAGIC = b"SQLite format 3\0"
_BACK = 64 << 10


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database; False where it is gone."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return False


def is_settled(path: Path) -> bool:
    """Whether a SQLite file is all there is of its database: no log with newer pages lies beside it."""
    beside = (Path(f"{path}{end}") for end in ("-wal", "-journal"))
    return not any(other.exists() and other.stat().st_size for other in beside)


@contextlib.contextmanager
def snapshot(path: Path, scratch: Path) -> Iterator[Path]:
    """A copy of a SQLite file in the folder `scratch`, as of one moment, gone afterwards. Raises StoreError."""
    made = scratch / "database"
    try:
        if why := copy_online(path, made):
            raise StoreError(
                f"{path}: damaged ({why}). No backup was made. Stop the platform and run `fx repair run`; a file that "
                "it does not know is to be moved away."
            )
        yield made
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be copied: {error}. No backup was made. Run it again.") from None
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{made}{end}").unlink(missing_ok=True)


def whole_lines(file: BinaryIO) -> int:
    """The size of an open log up to the end of its last whole line; the file is then at its beginning again."""
    at = os.fstat(file.fileno()).st_size
    while at > 0:
        start = max(0, at - _BACK)
        file.seek(start)
        newline = file.read(at - start).rfind(b"\n")
        if newline >= 0:
            at = start + newline + 1
            break
        at = start
    file.seek(0)
    return at


def is_same(file: BinaryIO, before: os.stat_result) -> bool:
    """Whether an open file is as it was when `before` was taken."""
    after = os.fstat(file.fileno())
    return (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)

"""The content of backups: pieces of files, each named by its sha256, written once and never changed.

Equal content is kept once, whatever it was called and in however many backups it is. A large file that only grows, or
of which few pages change, adds only the pieces that are new.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from fx_assets.backup.manifest import Entry, sha256
from fx_assets.errors import StoreError
from fx_assets.storage import Store

PIECE = 8 << 20
FOLDER = "objects"
# What waits to be written together: the waits for disk or network overlap, and memory stays small.
BATCH_BYTES, BATCH_FILES = 4 * PIECE, 256


def place(digest: str) -> str:
    """Where a piece lies."""
    return f"{FOLDER}/{digest[:2]}/{digest}"


def pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file in pieces; fewer where it ends before."""
    while size > 0 and (piece := file.read(min(PIECE, size))):
        size -= len(piece)
        yield piece


class Writer:
    """Adds pieces. known: the digests that are there. Nothing is sure to be there before `flush` has returned."""

    def __init__(self, store: Store, known: set[str]) -> None:
        self._store, self.known = store, known
        self._waiting: dict[str, bytes] = {}
        self.added = 0

    def add(self, content: bytes) -> str:
        """Returns its digest."""
        digest = sha256(content)
        if digest not in self.known:
            self.known.add(digest)
            self._waiting[place(digest)] = content
            self.added += len(content)
            if len(self._waiting) >= BATCH_FILES or sum(map(len, self._waiting.values())) >= BATCH_BYTES:
                self.flush()
        return digest

    def add_file(self, path: str, file: BinaryIO, size: int, mode: int, mtime_ns: int) -> Entry:
        """All pieces of the first `size` bytes of a file, as an entry for the manifest."""
        whole, digests, read = hashlib.sha256(), [], 0
        for piece in pieces(file, size):
            whole.update(piece)
            read += len(piece)
            digests.append(self.add(piece))
        return Entry(path, read, whole.hexdigest(), tuple(digests), mode, mtime_ns)

    def add_content(self, path: str, content: bytes) -> Entry:
        """As `add_file`, of a file that is in memory and has no times."""
        return self.add_file(path, io.BytesIO(content), len(content), 0o644, 0)

    def flush(self) -> None:
        """Write what waits. Raises StoreError."""
        if self._waiting:
            self._store.create_all(self._waiting)
            self._waiting = {}


def known(store: Store) -> set[str]:
    """The digests of all pieces that are there, whole or not."""
    return {path.rpartition("/")[2] for path in store.list(FOLDER)}


def read(store: Store, digest: str) -> bytes:
    """A piece. Raises StoreError for one that is missing or is not what its name says."""
    try:
        content = store.read(place(digest))
    except FileNotFoundError:
        raise _damaged(store, digest, "it is not there") from None
    if (found := sha256(content)) != digest:
        raise _damaged(store, digest, f"its sha256 is {found[:16]}..., its name says otherwise")
    return content


def _damaged(store: Store, digest: str, why: str) -> StoreError:
    return StoreError(
        f"{store.url}/{place(digest)}: cannot be used: {why}. Bring the object back from another copy of the backups; "
        "or remove it and run `fx backup` again, which adds it where the home still has its content."
    )

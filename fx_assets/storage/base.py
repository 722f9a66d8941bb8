"""The interface of a store, and the one that a folder or URL asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Files by relative path with forward slashes. Safe for several threads and processes: a reader sees a file's
    old content or its new one, never a part; what a method has returned from survives kill -9 and a power cut.

    Every method raises StoreError (disk full, read-only, no connection) with path, cause and remedy; nothing that was
    there before is lost by it. A missing file raises FileNotFoundError.
    """

    url: str

    def read(self, path: str) -> bytes:
        """A file's content."""
        ...

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        """As `read` for several files, with overlapping waits; files that are not there are left out."""
        ...

    def tail(self, path: str, size: int) -> bytes:
        """The last `size` bytes of a file, or all of a shorter one (where a Parquet file keeps its footer)."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Create or replace one file."""
        ...

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """As `write` for several files, with overlapping waits. No file is replaced before all of them have been
        written beside their places; each is then replaced at once, all of them together are not.
        """
        ...

    def create_all(self, files: Mapping[str, bytes]) -> None:
        """Create files that must not be there yet. One that is there with the same content is left alone; one with
        other content raises StoreError, and stays as it is.
        """
        ...

    def stage(self, path: str, content: bytes) -> str:
        """Write durably without showing it: returns a token for `publish`, which any process may call."""
        ...

    def stage_all(self, files: Mapping[str, bytes]) -> list[str]:
        """As `stage` for several files, with overlapping waits; all of them or, after an error, none."""
        ...

    def publish(self, tokens: Iterable[str]) -> None:
        """Show what was staged, each file at once, replacing what was there."""
        ...

    def discard(self, tokens: Iterable[str]) -> None:
        """Forget what was staged; no error for what has been published, discarded or swept."""
        ...

    def list(self, folder: str) -> list[str]:
        """Paths of all files below a folder, sorted; empty where there is none. Never shows temporaries."""
        ...

    def delete(self, path: str) -> None:
        """Remove one file; no error when it is not there."""
        ...

    def sweep(self, folder: str) -> int:
        """Remove temporaries that killed processes left more than an hour ago; returns how many."""
        ...


def open_store(where: str | Path) -> Store:
    """A folder (a path or file:// URL) or an object store (any other fsspec URL, such as s3://bucket/prefix)."""
    from fx_assets.storage.local import LocalStore
    from fx_assets.storage.objects import ObjectStore

    text = str(where)
    if "://" in text and not text.startswith("file://"):
        return ObjectStore(text)
    return LocalStore(Path(text.removeprefix("file://")))

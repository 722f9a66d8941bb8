"""What one backup holds: the form of its manifest, its bytes, and its name. No storage belongs here."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

import msgspec

FORMAT = 1


class Entry(msgspec.Struct, frozen=True):
    """One file. path: below the home, with forward slashes. objects: the sha256 of its pieces, in order.

    mtime_ns: when it was changed last, as the file system had it; 0 where that says nothing about the content.
    """

    path: str
    bytes: int
    sha256: str
    objects: tuple[str, ...]
    mode: int
    mtime_ns: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. at: when it began, UTC. version: of the package that made it. postgres: whether the service's tables
    in PostgreSQL are among the files. lake: where the lake was, if not in the home; its files are below `lake/`.
    """

    format: int = FORMAT
    id: str
    at: str
    version: str
    postgres: bool
    lake: str | None
    files: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """Of all files together, once restored."""
        return sum(file.bytes for file in self.files)

    @property
    def objects(self) -> set[str]:
        """Every piece it needs."""
        return {digest for file in self.files for digest in file.objects}


class Damaged(Exception):
    """Bytes that are no manifest, or not those that were written; the text says why."""


class _Form(msgspec.Struct):
    format: int


def encode(manifest: Manifest) -> tuple[str, bytes]:
    """A manifest's name, which holds a hash of its bytes, and the bytes."""
    content = msgspec.json.encode(manifest)
    return f"{manifest.id}-{sha256(content)[:16]}.json", content


def decode(name: str, content: bytes) -> Manifest:
    """The manifest of a name and its bytes. Raises Damaged."""
    if (found := sha256(content)[:16]) != name.removesuffix(".json").rpartition("-")[2]:
        raise Damaged(f"its sha256 begins with {found}, its name says otherwise")
    try:
        form = msgspec.json.decode(content, type=_Form).format
        if form != FORMAT:
            raise Damaged(f"it has form {form}, and this version of the platform reads form {FORMAT}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from None
    for file in manifest.files:
        if not is_below(file.path):
            raise Damaged(f"it names a file outside of a home ({file.path!r})")
    return manifest


def is_below(path: str) -> bool:
    """Whether a path stays in the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()

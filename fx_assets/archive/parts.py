"""One part of a month: files in a tar, and a manifest with the sha256 of each. Bytes only, no storage.

The files are gzip already, so the tar is not compressed again, and a restored file has the very bytes it had. Equal
files make an equal tar, so that a part which was written twice is the same part.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping

import msgspec


class PackedFile(msgspec.Struct, frozen=True):
    """One file of a part: its path in the lake, and what it must be."""

    path: str
    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a part holds. Written after its tar: a part without manifest does not exist."""

    table: str
    month: str
    name: str
    sha256: str
    size: int
    files: tuple[PackedFile, ...]


class Damaged(Exception):
    """Bytes that are not what a manifest says."""


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def pack(table: str, month: str, files: Mapping[str, bytes]) -> tuple[Manifest, bytes]:
    """Files by path as one tar, and its manifest; the part is named after its content."""
    buffer = io.BytesIO()
    packed = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            content = files[path]
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
            packed.append(PackedFile(path, sha256(content), len(content)))
    whole = buffer.getvalue()
    digest = sha256(whole)
    manifest = Manifest(table=table, month=month, name=digest[:16], sha256=digest, size=len(whole), files=tuple(packed))
    return manifest, whole


def unpack(manifest: Manifest, whole: bytes) -> dict[str, bytes]:
    """The files of a part by path. Raises Damaged unless the tar and every file in it have their hashes."""
    if (found := sha256(whole)) != manifest.sha256:
        raise Damaged(f"its sha256 is {found[:16]}..., the manifest has {manifest.sha256[:16]}...")
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as tar:
            for entry in tar:
                held = tar.extractfile(entry)
                files[entry.name] = held.read() if held is not None else b""
    except tarfile.TarError as error:
        raise Damaged(f"it is no tar file ({error})") from None
    wanted = {file.path: file.sha256 for file in manifest.files}
    if wanted != {path: sha256(content) for path, content in files.items()}:
        raise Damaged("its files are not those of the manifest")
    return files

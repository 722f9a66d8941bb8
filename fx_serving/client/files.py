"""Durable, atomic file replacement: a reader sees the old content or the new, never a part. State files read back."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

AGAIN = "It is written anew by the next run of what makes it."


class DamagedFile(ValueError):
    """A file that does not hold what it should: the text names it, what is wrong, and the remedy."""


def read_json(path: Path, remedy: str = AGAIN) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file. Raises DamagedFile where it holds anything else."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
    # Bytes that are no UTF-8 are no DecodeError to msgspec; both are ValueErrors.
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: cannot be read: {error}. {remedy}") from None


def atomic_write(path: Path | str, content: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content`: temporary file in the same folder, fsync, os.replace, fsync of the folder.

    Makes missing folders. durable=False leaves out both fsyncs (heartbeats: atomic, but may be lost with the
    power). Raises OSError, which always names a file.
    """
    path = Path(path)
    try:
        _replace(path, content, durable)
    except OSError as error:
        if error.filename is None:  # writing to an open file names none, and nobody could tell which disk it is
            error.filename = str(path)
        raise


def _replace(path: Path, content: bytes, durable: bool) -> None:
    """atomic_write, but an error may name no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp gives 0600; other users' processes (metrics, backup) read these files
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    if durable:
        fsync_dir(path.parent)


def fsync_dir(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

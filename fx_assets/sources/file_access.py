"""Finding and reading a user's files: in a folder, behind an http(s) URL, or in any store that fsspec knows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.http import REFUSED, HttpSession
from fx_assets.sources.library import Passing, retried
from fx_assets.sources.options import Files

GLOB = "*?["


@dataclass(frozen=True)
class Found:
    """A file: its path as the store names it, and a stamp that rises when it is modified."""

    path: str
    modified: str
    size: int

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


class Place(Protocol):
    """Where the files lie."""

    def find(self, path: str) -> list[Found]:
        """The file, or all files of the folder, or those that a pattern matches; oldest modification first."""
        ...

    def read(self, file: Found) -> bytes:
        """A file's bytes."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def place_for(name: str, options: Files) -> Place:
    """How the path of the options is reached."""
    return WebPlace(name, options) if urlsplit(options.path).scheme in ("http", "https") else FsspecPlace(name, options)


def shown(path: str) -> str:
    """A path or URL as it may be shown: without user, password and query."""
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else path


class WebPlace:
    """One file behind a URL; a web server has no folders that could be listed."""

    def __init__(self, name: str, options: Files):
        self.name = name
        self._query = urlsplit(options.path).query
        self._session = HttpSession(name, options, secrets=[self._query] if self._query else [])

    def find(self, path: str) -> list[Found]:
        return [Found(path, str(time.monotonic()), 0)]  # as if it had just been modified

    def read(self, file: Found) -> bytes:
        return self._session.get_bytes(file.path)

    def close(self) -> None:
        self._session.close()


class FsspecPlace:
    """A local path, file://, s3:// and whatever else has its fsspec package installed."""

    def __init__(self, name: str, options: Files):
        self.name, self.options = name, options
        self.where = f"{name}: {shown(options.path)}"
        self._fs: Any = None

    def find(self, path: str) -> list[Found]:
        inner = self._open(path)[1]
        pattern = any(sign in inner for sign in GLOB)
        # Everything below the last folder without a sign in its name, then what fits.
        root = inner if not pattern else inner[: min(inner.index(s) for s in GLOB if s in inner)].rpartition("/")[0]
        infos = self._ask("_find", "find", root, detail=True)
        files = [
            Found(path, str(info.get("mtime") or info.get("LastModified") or info.get("created") or ""), info["size"])
            for path, info in infos.items()
            if not PurePosixPath(path).name.startswith(".") and (not pattern or fnmatch(path, inner))
        ]
        return sorted(files, key=lambda file: (_number(file.modified), file.path))

    def read(self, file: Found) -> bytes:
        return self._ask("_cat_file", "cat_file", file.path)

    def close(self) -> None:
        self._fs = None

    def _open(self, path: str) -> tuple[Any, str]:
        import fsspec

        protocol = urlsplit(path).scheme or "file"
        if self._fs is None:
            storage: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
            if protocol in ("s3", "s3a"):
                seconds = self.options.timeout_s
                storage["config_kwargs"] = {
                    "connect_timeout": seconds,
                    "read_timeout": seconds,
                    "retries": {"max_attempts": 1},
                }
            try:
                self._fs = fsspec.filesystem(protocol, **storage)
            except (ImportError, ValueError) as error:
                remedy = " Run: pip install 'fx-platform[s3]'" if protocol.startswith("s3") else ""
                raise SourceRefused(f"{self.where}: {protocol}:// cannot be opened ({error}).{remedy}") from None
            if hasattr(self._fs, "retries"):
                self._fs.retries = 1
        return self._fs, self._fs._strip_protocol(path)

    def _ask(self, method: str, blocking: str, path: str, **arguments: Any) -> Any:
        """A method of the file system, within options.timeout_s where it is one that can be interrupted."""
        from fsspec.asyn import AsyncFileSystem, sync

        fs, inner = self._open(path)

        def once() -> Any:
            try:
                if isinstance(fs, AsyncFileSystem):
                    return sync(fs.loop, getattr(fs, method), inner, timeout=self.options.timeout_s, **arguments)
                return getattr(fs, blocking)(inner, **arguments)
            except FileNotFoundError:
                raise SourceRefused(f"{self.where}: there is no {shown(path)}. Check the path.") from None
            except (PermissionError, IsADirectoryError) as error:
                raise SourceRefused(f"{self.where}: {shown(path)} may not be read ({type(error).__name__}).") from None
            except (TimeoutError, OSError) as error:
                if _status(error) in REFUSED:
                    raise SourceRefused(
                        f"{self.where}: {shown(path)} may not be read (HTTP {_status(error)})."
                    ) from None
                raise Passing(f"cannot be read ({type(error).__name__})") from None
            except Exception as error:  # the store's own library has errors of its own
                refused = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
                kind = SourceRefused if refused else SourceError
                raise kind(f"{self.where}: {shown(path)} cannot be read ({type(error).__name__}).") from None

        return retried(self.where, self.options, once)


def _number(modified: str) -> tuple[int, float, str]:
    """Local stamps are seconds, those of object stores ISO times: either kind sorts by time."""
    try:
        return (0, float(modified), "")
    except ValueError:
        return (1, 0.0, modified)


def _status(error: BaseException) -> int:
    """The HTTP status that an object store's error was made from, 0 where there was none."""
    answer = getattr(error.__cause__, "response", None)
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(answer, dict) else 0

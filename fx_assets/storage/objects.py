"""An object store (S3 and whatever else fsspec speaks) as a store: one PUT a file.

A staged file is uploaded at once under a hidden name in its own folder, and published by a copy inside the store.
Keeping the bytes in memory instead would spare the copy, but a range run stages more than a machine holds; and a
hidden object can be published by another process, and outlives this one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from fx_assets.errors import StoreError
from fx_assets.storage.overlapping import overlapping
from fx_assets.storage.problems import UNTOUCHED, object_problem, without_secrets
from fx_assets.storage.temporary import STALE_S, is_temporary, target, temporary

_THREADS = 16
CONNECT_S, READ_S, ATTEMPTS = 5, 15, 2  # a store that does not answer at all is given up within about a minute


class ObjectStore:
    """See Store. Credentials come from the environment, as the store's own library reads them.

    S3 is reached at AWS_ENDPOINT_URL where that is set. Stores whose PUT is not atomic (SFTP, plain HTTP) are not
    suitable for tables.
    """

    def __init__(self, url: str):
        self.url = without_secrets(url).rstrip("/")
        self._given = url

    @cached_property
    def _files(self) -> tuple[Any, str]:
        """The fsspec file system and the prefix in it; made when first used, since it loads the store's library."""
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self._given, **_options(self._given))
        except (ImportError, ValueError) as error:
            raise object_problem(self.url, "opened", error) from None
        if hasattr(files, "retries"):
            files.retries = ATTEMPTS  # of s3fs, around those of botocore
        return files, root.rstrip("/")

    def _call(self, doing: str, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        """A file system's method on one path. FileNotFoundError and FileExistsError pass, all else is StoreError."""
        files, root = self._files
        try:
            return getattr(files, method)(f"{root}/{path}" if path else root, *arguments, **options)
        except FileNotFoundError as error:
            if "specified bucket" in str(error):  # S3's words for a store that is not there at all
                raise object_problem(f"{self.url}/{path}", doing, error) from None
            raise
        except (FileExistsError, StoreError):
            raise
        # Each store's library has errors of its own, without a common base.
        except Exception as error:
            raise object_problem(f"{self.url}/{path}", doing, error) from None

    def read(self, path: str) -> bytes:
        return self._call("read", "cat_file", path)

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        def read(path: str) -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                return self.read(path)
            return None

        wanted = list(paths)
        return {p: c for p, c in zip(wanted, overlapping(_THREADS, read, wanted), strict=True) if c is not None}

    def tail(self, path: str, size: int) -> bytes:
        return self._call("read", "cat_file", path, start=-size)

    def write(self, path: str, content: bytes) -> None:
        try:
            self._call("written", "pipe_file", path, content)
        except FileNotFoundError as error:
            raise object_problem(f"{self.url}/{path}", "written", error) from None

    def write_all(self, files: Mapping[str, bytes]) -> None:
        if len(files) == 1:  # nothing to hold back: one PUT replaces it at once
            self.write(*next(iter(files.items())))
            return
        tokens = self.stage_all(files)
        try:
            self.publish(tokens)
        except BaseException:
            self.discard(tokens)
            raise

    def create_all(self, files: Mapping[str, bytes]) -> None:
        def create(path: str) -> None:
            try:
                self._call("created", "pipe_file", path, files[path], mode="create")
            except FileNotFoundError as error:
                raise object_problem(f"{self.url}/{path}", "created", error) from None
            except FileExistsError:
                if self.read(path) != files[path]:
                    raise StoreError(
                        f"{self.url}/{path}: is there already with other content, and files here are never changed. "
                        f"{UNTOUCHED} Find out what else writes here, and run it again."
                    ) from None

        overlapping(_THREADS, create, list(files))

    def stage(self, path: str, content: bytes) -> str:
        token = temporary(path)
        self.write(token, content)
        return token

    def stage_all(self, files: Mapping[str, bytes]) -> list[str]:
        tokens = {path: temporary(path) for path in files}
        try:
            overlapping(_THREADS, lambda path: self.write(tokens[path], files[path]), list(files))
        except BaseException:
            # An upload whose answer was lost may have arrived all the same.
            self.discard(tokens.values())
            raise
        return list(tokens.values())

    def publish(self, tokens: Iterable[str]) -> None:
        _, root = self._files

        def show(token: str) -> None:
            path = target(token)
            try:
                self._call("replaced", "cp_file", token, f"{root}/{path}")
            except FileNotFoundError:
                raise StoreError(
                    f"{self.url}/{path}: what was written for it is gone (swept after an hour, or removed). "
                    f"{UNTOUCHED} Run the same command again."
                ) from None
            self.discard([token])

        overlapping(_THREADS, show, list(tokens))

    def discard(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            # What cannot be removed now is swept later.
            with contextlib.suppress(StoreError, FileNotFoundError):
                self._call("removed", "rm_file", token)

    def list(self, folder: str) -> list[str]:
        return sorted(path for path, _ in self._found(folder) if not path.rpartition("/")[2].startswith("."))

    def _found(self, folder: str) -> Iterator[tuple[str, dict]]:
        """Every object below a folder, hidden ones too, by path relative to the store."""
        _, root = self._files
        try:
            found = self._call("listed", "find", folder, detail=True)
        except FileNotFoundError as error:
            raise object_problem(f"{self.url}/{folder}", "listed", error) from None
        for name, info in found.items():
            if info["type"] == "file" and info["size"] is not None:
                yield name.removeprefix(f"{root}/"), info

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._call("removed", "rm_file", path)

    def sweep(self, folder: str) -> int:
        swept = 0
        for path, info in self._found(folder):
            made = info.get("LastModified") or info.get("created")
            if is_temporary(path.rpartition("/")[2]) and made and time.time() - made.timestamp() > STALE_S:
                self.delete(path)
                swept += 1
        return swept


def _options(url: str) -> dict[str, Any]:
    """Connections that give up, and listings that are never remembered: other processes write here too."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    config: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "read_timeout": READ_S,
        "retries": {"max_attempts": ATTEMPTS, "mode": "standard"},
        "max_pool_connections": 2 * _THREADS,
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}  # a server of one's own has no host name for each bucket
    return {"endpoint_url": endpoint, "use_listings_cache": False, "config_kwargs": config}

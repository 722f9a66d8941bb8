"""Where feature blobs are published: a folder of the home, or a Redis that several hosts share.

What a store must do belongs here, the folder, and the choice; the other store is in redis_blobs.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

from fx_serving.client.home import Stores, config_folders, serving_yaml
from fx_serving.client.overlay import environment_files
from fx_serving.client.snapshot import BlobError, FeatureBlob, blob_path

Pair = tuple[str, str]  # view, instrument
Kind = Literal["folder", "redis"]


class BlobStoreError(Exception):
    """The store itself cannot be used: not to be reached, wrongly set up. The text never holds an address."""


class BlobStore(Protocol):
    """One store of blobs. Calls block; a store is used by one thread at a time, except `drop`."""

    @property
    def kind(self) -> Kind:
        """Its name in serving.yaml."""
        ...

    @property
    def volatile(self) -> bool:
        """Whether blobs may vanish without anybody having removed them: readers then keep what they hold."""
        ...

    def publish(self, blob: FeatureBlob) -> bool:
        """Make `blob` the one that is read; False, and nothing changed, where the store holds newer rows.

        A blob with the same newest row replaces (a revision). Raises BlobStoreError, or OSError for a folder.
        """
        ...

    def scan(self) -> dict[Pair, object]:
        """All blobs there are, each with a mark that differs after a change. Raises BlobStoreError."""
        ...

    def read(self, view: str, instrument: str) -> FeatureBlob:
        """One blob, checked. Raises BlobError (missing, torn, altered) and BlobStoreError."""
        ...

    def remove(self, view: str, instrument: str) -> None:
        """Publish a blob no longer; nothing where there is none. Raises BlobStoreError."""
        ...

    def drop(self) -> None:
        """End a call that another thread is waiting in."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def open_blobs(stores: Stores, kind: Kind | None = None) -> BlobStore:
    """The store of one home: `kind`, else `feature_blobs` of its serving.yaml, else the folder.

    Connects to nothing. Raises BlobStoreError where Redis is asked for without FX_REDIS_URL or the extra `redis`.
    """
    if (kind or _configured(stores.home)) == "redis":
        from fx_serving.client.redis_blobs import RedisBlobs

        return RedisBlobs.from_environment()
    return FolderBlobs(stores.features)


def _configured(home: Path) -> str:
    """`feature_blobs` of the serving.yaml in force. The service checks that file; this reads the one key."""
    import yaml

    own = serving_yaml(home)
    try:
        above = environment_files(config_folders(home)).get("serving.yaml")
    except ValueError as error:
        raise BlobStoreError(str(error)) from None
    kind = "folder"
    for path in (path for path in (own, above) if path is not None):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise BlobStoreError(
                f"{path}: cannot be read: {error}. Correct it, or remove it for the defaults."
            ) from None
        kind = content.get("feature_blobs", kind) if isinstance(content, dict) else kind
        if kind not in ("folder", "redis"):
            raise BlobStoreError(f"{path}: feature_blobs: {kind!r} is not one of folder, redis. Change it.")
    return kind


class FolderBlobs:
    """features/<view>/<instrument>.json below one folder, each replaced atomically."""

    kind: Kind = "folder"
    volatile = False

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def publish(self, blob: FeatureBlob) -> bool:
        """See BlobStore; what cannot be read is replaced."""
        path = blob_path(self.folder, blob.view, blob.instrument)
        with _locked(self.folder):
            try:
                held = FeatureBlob.read(path).newest
            except BlobError:
                held = None
            if held is not None and (blob.newest is None or blob.newest < held):
                return False
            blob.write(self.folder)
        return True

    def scan(self) -> dict[Pair, object]:
        """The mark of a file is its time, inode and size."""
        marks: dict[Pair, object] = {}
        try:
            for view in _listed(self.folder):
                for entry in _listed(Path(view.path)) if view.is_dir() else ():
                    if entry.name.endswith(".json") and not entry.name.startswith("."):
                        with suppress(FileNotFoundError):
                            stat = entry.stat()
                            marks[view.name, entry.name[:-5]] = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except OSError as error:
            raise BlobStoreError(f"{self.folder}: cannot be listed: {error.strerror}") from None
        return marks

    def read(self, view: str, instrument: str) -> FeatureBlob:
        """See BlobStore."""
        return FeatureBlob.read(blob_path(self.folder, view, instrument))

    def remove(self, view: str, instrument: str) -> None:
        """See BlobStore."""
        path = blob_path(self.folder, view, instrument)
        try:
            with _locked(self.folder):
                path.unlink(missing_ok=True)
                with suppress(OSError):  # it holds other instruments
                    path.parent.rmdir()
        except OSError as error:
            raise BlobStoreError(f"{path}: cannot be removed: {error.strerror}. Remove it by hand.") from None

    def drop(self) -> None:
        """Reading files is not waited for."""

    def close(self) -> None:
        """Nothing is held open."""


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder. One that vanished a moment ago is empty, and takes nothing else out of a scan with it."""
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One publisher at a time, so that none replaces what another has just found to be older."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

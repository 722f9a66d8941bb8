"""The way back: a backup into an empty home, every byte held against its hash before anything is shown.

The files are written to a hidden folder beside the home, which becomes the home at the end. A damaged or missing piece
ends it before that: nothing is left but what was there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from fx_assets.backup import objects, postgres
from fx_assets.backup.manifest import Entry, Manifest
from fx_assets.errors import StoreError
from fx_assets.storage import Store
from fx_assets.storage.overlapping import overlapping
from fx_assets.storage.problems import disk_problem
from fx_serving.client.files import fsync_dir

_THREADS, _BATCH = 8, 64
_SPARE = 50_000_000  # bytes beside the files themselves: folders, and what a start writes


def restore(store: Store, manifest: Manifest, home: Path, moved: Callable[[int], None] = lambda count: None) -> None:
    """Make `home` what the backup holds. moved: told bytes as they are done.

    Raises StoreError where the home is not empty, the disk too small, or a piece damaged: nothing is changed then.
    """
    home = home.resolve()
    _require_empty(home)
    databases = _databases(manifest)
    home.parent.mkdir(parents=True, exist_ok=True)
    _require_room(home.parent, manifest.bytes)
    made = home.parent / f".{home.name}.restore-{uuid.uuid4().hex[:12]}"
    made.mkdir()
    try:
        for folder in {(made / file.path).parent for file in manifest.files}:
            folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(manifest.files), _BATCH):
            batch = manifest.files[start : start + _BATCH]
            overlapping(_THREADS, lambda file: _fetch(store, file, made), batch)
            moved(sum(file.bytes for file in batch))
        os.sync()
        for tables, address in databases.items():
            postgres.restore(tables, address, made / tables.file)
        for folder in {(made / tables.file).parent for tables in databases}:
            shutil.rmtree(folder)
        try:
            os.replace(made, home)
        except OSError as error:
            raise StoreError(
                f"{home}: cannot become the restored home ({error.strerror}). Name a folder that is no mount point, "
                "and that nothing else writes to, with --home."
            ) from None
        fsync_dir(home.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _fetch(store: Store, entry: Entry, made: Path) -> None:
    """Write one file, and prove it."""
    path, whole = made / entry.path, hashlib.sha256()
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            for digest in entry.objects:
                content = objects.read(store, digest)
                whole.update(content)
                file.write(content)
    except OSError as error:
        raise disk_problem(path, "restored", error, entry.bytes) from None
    if whole.hexdigest() != entry.sha256:
        raise StoreError(
            f"{store.url}: {entry.path}: its pieces do not make the file that was backed up. Nothing was restored. "
            "Take another backup with --backup; `fx backup list` shows them."
        )
    path.chmod(entry.mode)
    if entry.mtime_ns:
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def _require_empty(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise StoreError(
            f"{home}: is not empty, and a backup is restored into an empty home only. Nothing was changed. Name "
            "another folder with --home, or move this one away."
        )


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise StoreError(
            f"{folder}: the backup needs {(needed + _SPARE) / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB "
            "left. Nothing was changed. Make room, or name a folder on a larger disk with --home."
        )


def _databases(manifest: Manifest) -> dict[postgres.Tables, str]:
    """The empty databases that tables of the backup go to; what it has in files goes to no database."""
    paths, found = {file.path for file in manifest.files}, {}
    for tables in postgres.ALL:
        address, dumped = tables.address, tables.file in paths
        if address is not None and dumped:
            postgres.require_empty(tables, address)
            found[tables] = address
        elif dumped:
            raise StoreError(
                f"{tables.variable}: not set, and the backup holds {tables.what} as PostgreSQL tables. Set it to an "
                "empty database that they shall go to."
            )
        elif address is not None and tables.sqlite in paths:
            raise StoreError(
                f"{tables.variable}: set, and the backup holds {tables.what} in SQLite files, which would not be used. "
                "Unset it."
            )
    return found

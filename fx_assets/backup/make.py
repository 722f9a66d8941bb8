"""The backup: every file of a home, as of one moment each, to objects and a manifest that is written last.

A file that has the size and time of change it had in the newest backup is not read again. What an interrupted backup
has added stays and is not added again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fx_assets.backup import objects, postgres
from fx_assets.backup.home import DATABASE, Listing
from fx_assets.backup.kept import Backups
from fx_assets.backup.manifest import Entry, Manifest
from fx_assets.backup.reading import LINES, is_same, is_settled, is_sqlite, snapshot, whole_lines
from fx_assets.errors import StoreError
from fx_assets.models.promotion import no_changes
from fx_assets.storage import Store
from fx_assets.storage.local import LocalStore
from fx_assets.storage.problems import disk_problem
from fx_assets.storage.room import check_room
from fx_serving.client.home import Stores

_AGAIN = 5
Moved = Callable[[int], None]


@dataclass(frozen=True)
class Made:
    """A finished backup. added: bytes that were not there before. removed: the backups that went for it."""

    manifest: Manifest
    added: int
    removed: list[str]


def make(
    home: Path,
    backups: Backups,
    lake: Store | None = None,
    moved: Moved = lambda count: None,
    keep: int | None = None,
) -> Made:
    """Back a home up. lake: where its lake is, if not in the home. moved: told bytes as they are done. keep: how many
    backups stay, the newest; None for all.

    Raises StoreError. There is no backup then, unless it says that there is one, and earlier ones are as they were.
    """
    home = home.resolve()
    if not home.is_dir():
        raise StoreError(f"{home}: there is no such home. Name it with --home, or FX_HOME.")
    if isinstance(backups.store, LocalStore):
        _private(backups.store.root.resolve(), home)
    with _scratch(home) as scratch:
        began = datetime.now(UTC)
        copying = _Copying(home, scratch, backups, lake, moved)
        id = f"{began:%Y%m%dT%H%M%S%fZ}"
        backups.begin(id)
        entries = list(copying.all())
        copying.writer.flush()
        manifest = Manifest(
            id=id,
            at=began.isoformat(),
            version=_version(),
            postgres=any(entry.path == postgres.SERVICE.file for entry in entries),
            lake=lake.url if lake is not None else None,
            files=tuple(sorted(entries, key=lambda entry: entry.path)),
        )
        backups.finish(manifest)
        # Still alone: another backup would count on pieces that are about to go.
        return Made(manifest, copying.writer.added, [] if keep is None else _prune(backups, id, keep))


def _prune(backups: Backups, id: str, keep: int) -> list[str]:
    try:
        return backups.prune(keep)
    except StoreError as error:
        raise StoreError(f"backup {id} is finished, but none was removed for it: {error}") from None


class _Copying:
    """One run over a home."""

    def __init__(self, home: Path, scratch: Path, backups: Backups, lake: Store | None, moved: Moved) -> None:
        self.home, self.scratch, self.lake, self.moved = home, scratch, lake, moved
        self.writer = objects.Writer(backups.store, objects.known(backups.store))
        last = next((kept.manifest for kept in reversed(backups.all()) if kept.manifest is not None), None)
        self._before = {file.path: file for file in last.files} if last is not None else {}

    def all(self) -> Iterator[Entry]:
        """Every file, in the order that home.py explains."""
        listing = Listing(self.home, lake=self.lake is None)
        yield from self._copied(listing.first())
        yield from self._dumped(postgres.SERVICE)
        yield from self._copied(listing.databases())
        with no_changes(Stores(self.home)):
            yield from list(self._copied(listing.registry()))
            yield from list(self._dumped(postgres.MLFLOW))
        stages = listing.files()
        yield from self._copied(next(stages))
        if self.lake is not None:
            yield from self._elsewhere(self.lake)
        for paths in stages:
            yield from self._copied(paths)

    def _copied(self, paths: list[str]) -> Iterator[Entry]:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed: nothing that was copied names it
                entry = self._copy(path)
                self.moved(entry.bytes)
                yield entry

    def _copy(self, path: str) -> Entry:
        source = self.home / path
        now, database = source.stat(), path.endswith(DATABASE) and is_sqlite(source)
        # Looked at before the copy: what is written after it makes the next backup read the file again.
        time = now.st_mtime_ns if not database or is_settled(source) else 0
        before = self._before.get(path)
        same = before is not None and time and (before.bytes, before.mtime_ns) == (now.st_size, time)
        if before is not None and same and self.writer.known.issuperset(before.objects):
            return before
        if database:
            with snapshot(source, self.scratch) as made, made.open("rb") as file:
                size = made.stat().st_size
                return self.writer.add_file(path, file, size, now.st_mode & 0o777, time if size == now.st_size else 0)
        for _ in range(_AGAIN):
            with source.open("rb") as file:
                now = os.fstat(file.fileno())
                mode, time = now.st_mode & 0o777, now.st_mtime_ns
                if path.endswith(LINES):
                    size = whole_lines(file)
                    return self.writer.add_file(path, file, size, mode, time if size == now.st_size else 0)
                entry = self.writer.add_file(path, file, now.st_size, mode, time)
                if is_same(file, now):
                    return entry
        raise StoreError(f"{source}: changes all the time. No backup was made. Run it again when nothing writes there.")

    def _dumped(self, tables: postgres.Tables) -> Iterator[Entry]:
        address = tables.address
        if address is None or not postgres.exist(tables, address):
            return
        made = self.scratch / "dump"
        postgres.dump(tables, address, made)
        with made.open("rb") as file:
            yield self.writer.add_file(tables.file, file, made.stat().st_size, 0o600, 0)
        made.unlink()

    def _elsewhere(self, lake: Store) -> Iterator[Entry]:
        """The lake from a store of its own, against its flow as in the home. A bronze file is never changed."""
        later = ("gold/", "silver/", "bronze/")
        for folder in (None, *later):
            found = lake.list(folder.rstrip("/") if folder else "")
            for path in found if folder else [path for path in found if not path.startswith(later)]:
                before = self._before.get(f"lake/{path}")
                if folder == "bronze/" and before is not None and self.writer.known.issuperset(before.objects):
                    yield before
                    continue
                with contextlib.suppress(FileNotFoundError):
                    content = lake.read(path)
                    self.moved(len(content))
                    yield self.writer.add_content(f"lake/{path}", content)


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """A folder for copies of databases, on the home's own disk; one backup of a home at a time has it."""
    from filelock import FileLock, Timeout

    check_room(home)
    lock = FileLock(home / ".backup.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(f"{home}: another backup of it is running. Wait for it, and try again.") from None
    folder = home / ".backup"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _private(root: Path, home: Path) -> None:
    """Make a folder for backups outside of the home, for its owner's eyes only: it holds all that the home holds."""
    if root.is_relative_to(home):
        raise StoreError(f"{root}: lies within the home {home}. Keep backups outside, on another disk.")
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_problem(root, "made", error) from None


def _version() -> str:
    try:
        return version("fx-platform")
    except PackageNotFoundError:
        return "unknown"

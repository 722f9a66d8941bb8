"""The SQLite files of a home: whether one is damaged, verified copies of it, and its restoration from the newest.

Copies lie in `copies/<path of the file>/<time>-<sha256>.db`, so that a copy that has decayed itself shows. A damaged
file is never deleted: it goes to `damaged/<time>/`, and what was done is added to `monitoring/repairs.ndjson`. Only the
standard library is used: the deployment service looks after its own two files by this.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fx_serving.client.files import fsync_dir
from fx_serving.client.home import Stores

#: The deployment service's own, which it mends itself under its lock: another process may be serving this home.
SERVICE = ("serving/state.db", "serving/predictions/predictions.db")
#: The platform's. Dagster's files of single runs are left out: there is one for each run, and what they hold is the
#: log of that run.
PLATFORM = (
    "dagster/history/runs.db",
    "dagster/history/runs/index.db",
    "dagster/schedules/schedules.db",
    "mlflow/mlflow.db",
    "mlflow/promotions.db",
    "feast/online.db",
    "monitoring/alerts.db",
    "monitoring/trading.db",
)
#: Every file whose loss would cost what cannot be computed again.
DATABASES = (*SERVICE, *PLATFORM)
KEEP = 3
LOOK_S = 20.0
_BESIDE = ("-wal", "-shm", "-journal")
_CHUNK = 1 << 20


class Repair(msgspec.Struct, frozen=True):
    """What was done about one damaged file. at: UTC, ISO 8601. restored_from: None where there was no good copy."""

    at: str
    file: str
    set_aside: str
    restored_from: str | None
    why: str

    def __str__(self) -> str:
        found = f"restored from {self.restored_from}" if self.restored_from else "no verified copy: it begins anew"
        return f"{self.file}: damaged ({self.why}). Set aside as {self.set_aside}; {found}."


class CopyError(Exception):
    """A copy could not be made; the text names file, cause and remedy."""


def damage(path: Path, look_s: float = LOOK_S) -> str | None:
    """Why a SQLite file cannot be relied on; None where it can, is not there, or is in use so that nobody can tell.

    Reads every page, for at most `look_s` seconds: a file so large that this is not enough counts as sound. A file of
    no bytes is an empty database, which a process killed before its first write leaves: sound by itself (see `found`).
    """
    if not path.is_file() or path.stat().st_size == 0:
        return None
    until = time.monotonic() + look_s
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=2)) as db:
            db.set_progress_handler(lambda: time.monotonic() > until, 100_000)
            told = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        # Locked, interrupted, or a disk that cannot be written: no word about what the file holds.
        return str(error) if "malformed" in str(error) else None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if told == ["ok"] else " ".join(" ".join(told).split())


def found(stores: Stores, name: str) -> str | None:
    """As `damage`, of the file `name` (of DATABASES), knowing its copies: a file that has one had bytes once."""
    path = stores.home / name
    if path.is_file() and path.stat().st_size == 0 and (known := copies(stores, name)):
        return f"it has no bytes, and its copy {known[-1].name} has {known[-1].stat().st_size:,}"
    return damage(path)


def copy_online(source: Path, to: Path) -> str | None:
    """Copy a SQLite file as of one moment, while others write to it; what is wrong with the copy, as `damage` says it.

    Raises sqlite3.Error.
    """
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True, timeout=30)) as ours,
        contextlib.closing(sqlite3.connect(to)) as theirs,
    ):
        ours.backup(theirs)  # in one step: done in several, it would begin anew with every write of another
        theirs.execute("PRAGMA journal_mode=DELETE")
    return damage(to)


def copy(stores: Stores, name: str, keep: int = KEEP) -> Path | None:
    """A verified copy of the file `name` (of DATABASES), consistent while others write; the newest `keep` are kept.

    None where the file is not there or empty, or has not changed since the newest copy. Raises CopyError where it is
    damaged (older copies then all stay), or where the disk has no room for it.
    """
    source, folder = stores.home / name, copies_folder(stores, name)
    if why := found(stores, name):
        raise CopyError(f"{source}: damaged ({why}). Stop the platform and run `fx repair run`.")
    if not source.is_file() or source.stat().st_size == 0:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    _require_room(source, folder)
    handle, made = tempfile.mkstemp(prefix=".copy.", suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        if why := copy_online(source, Path(made)):
            raise CopyError(f"{source}: its copy is damaged ({why}). Look at the disk, then call it again.")
        digest = sha256(Path(made))
        known = copies(stores, name)
        if known and known[-1].stem.endswith(digest) and sha256(known[-1]) == digest:
            return None
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        place = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{digest}.db"
        os.replace(made, place)
        fsync_dir(folder)
    except (sqlite3.Error, OSError) as error:
        raise CopyError(f"{source}: cannot be copied to {folder}: {error}. Mend that and call it again.") from None
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(made + end).unlink(missing_ok=True)
    for old in copies(stores, name)[:-keep]:
        old.unlink(missing_ok=True)
    return place


def copies(stores: Stores, name: str) -> list[Path]:
    """The copies of a file, the newest last; whether they are sound is looked at when one is needed."""
    return sorted(copies_folder(stores, name).glob("[0-9]*-*.db"))


def copies_folder(stores: Stores, name: str) -> Path:
    """Where the copies of a file lie."""
    return stores.home / "copies" / name


def repair(stores: Stores, names: Sequence[str] = DATABASES) -> list[Repair]:
    """Set aside each damaged file and put its newest sound copy in its place.

    Only while nothing has the files open. Killed at any moment, it leaves either the damaged file, which the next call
    finds, or the restored one. Raises OSError where the disk refuses.
    """
    return [_restore(stores, name, why) for name in names if (why := found(stores, name))]


def _restore(stores: Stores, name: str, why: str) -> Repair:
    path, now = stores.home / name, datetime.now(UTC)
    aside = stores.home / "damaged" / f"{now:%Y%m%dT%H%M%S%f}" / name
    aside.parent.mkdir(parents=True)
    source = next((kept for kept in reversed(copies(stores, name)) if _is_sound(kept)), None)
    made = path.with_name(f".{path.name}.restored.tmp")
    if source is not None:
        shutil.copyfile(source, made)
        with open(made, "rb") as file:
            os.fsync(file.fileno())
    # Not a move: there is no moment without the file, in which its owner would begin an empty one. What lies beside it
    # goes before the copy comes: SQLite would write a write-ahead log of the damaged file into the copy.
    _keep_aside(path, aside)
    for end in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            shutil.move(f"{path}{end}", f"{aside}{end}")
    fsync_dir(aside.parent)
    if source is not None:
        os.replace(made, path)
    else:
        path.unlink()
    fsync_dir(path.parent)
    done = Repair(
        at=now.isoformat(),
        file=name,
        set_aside=str(aside.relative_to(stores.home)),
        restored_from=str(source.relative_to(stores.home)) if source else None,
        why=why,
    )
    stores.repairs.parent.mkdir(parents=True, exist_ok=True)
    with stores.repairs.open("ab") as file:
        file.write(msgspec.json.encode(done) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return done


def _keep_aside(path: Path, aside: Path) -> None:
    """A second name of the file; a second file where the file system has no such thing (FAT, some network shares), or
    `damaged/` lies on another one.
    """
    try:
        os.link(path, aside)
    except OSError:
        shutil.copyfile(path, aside)  # a disk that is full or cannot be written refuses this too, and says so
        with open(aside, "rb") as file:
            os.fsync(file.fileno())


def _is_sound(copied: Path) -> bool:
    return copied.stem.partition("-")[2] == sha256(copied) and damage(copied) is None


def _require_room(source: Path, folder: Path) -> None:
    needed, free = 2 * source.stat().st_size, shutil.disk_usage(folder).free
    if needed > free:
        raise CopyError(
            f"{source}: a copy needs {needed / 1e6:.0f} MB, and {folder} has {free / 1e6:.0f} MB. Make room, or keep "
            "these data in PostgreSQL (FX_STATE_URL), which has its own backups."
        )


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()

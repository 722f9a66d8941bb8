"""What a home has gathered that nobody needs any more: found first, removed afterwards, never bronze.

Found are old reports, old logs, output of runs that Dagster has forgotten, and temporaries of writers that were killed.
What a status file names, and the newest of each kind of report, stays whatever its age.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from fx_assets.configuration.automation import CleanUp
from fx_serving.client.home import Stores

REPORT, LOG, OUTPUT, TEMPORARY = "report", "log", "run output", "temporary"
# Places whose files are looked after by their owners: bronze is append-only, and these programs know their own.
LEFT_ALONE = ("lake", "mlflow", "dagster", "serving", "feast")


@dataclass(frozen=True)
class Leftover:
    """A file, or a folder of a run's output, that can go. age: since it was last written."""

    path: Path
    kind: str
    bytes: int
    age: timedelta


def leftovers(
    stores: Stores, settings: CleanUp, now: datetime, is_known_run: Callable[[str], bool] = lambda run_id: True
) -> list[Leftover]:
    """Everything that can go at a moment of the wall clock (aware). is_known_run: whether Dagster has a run."""
    found = [
        *_reports(stores, settings, now),
        *_logs(stores, settings, now),
        *_outputs(stores, settings, now, is_known_run),
        *_temporaries(stores, settings, now),
    ]
    return sorted(found, key=lambda leftover: leftover.path)


def remove(found: Iterable[Leftover]) -> list[str]:
    """Remove them; returns what could not be, in words. One that has gone meanwhile is no fault."""
    problems = []
    for leftover in found:
        try:
            if leftover.path.is_dir():
                shutil.rmtree(leftover.path)
            else:
                leftover.path.unlink(missing_ok=True)
        except OSError as error:
            problems.append(f"{leftover.path}: {error.strerror}. Mend its permissions, or remove it by hand.")
    return problems


def _reports(stores: Stores, settings: CleanUp, now: datetime) -> Iterator[Leftover]:
    """Old reports. Those of one folder and ending are of one kind; the newest of each kind stay."""
    named = _named(stores)
    kinds: dict[tuple[Path, str], list[Path]] = {}
    for path in _files(stores.reports):
        kinds.setdefault((path.parent, path.suffix), []).append(path)
    for paths in kinds.values():
        newest_first = sorted(paths, key=_written, reverse=True)
        for path in newest_first[settings.keep_reports :]:
            if path.resolve() not in named:
                yield from _older(path, REPORT, timedelta(days=settings.reports_days), now)


def _named(stores: Stores) -> set[Path]:
    """Every file that a status file of the monitoring names."""
    named: set[Path] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for below in value.values():
                walk(below)
        elif isinstance(value, list):
            for below in value:
                walk(below)
        elif isinstance(value, str) and "/" in value and "\n" not in value and len(value) < 4096:
            named.add(Path(value).resolve())

    folder = stores.home / "monitoring"
    for path in (*folder.glob("*.json"), *stores.drift.glob("*.json"), *folder.glob("quality/*.json")):
        with contextlib.suppress(OSError, ValueError):
            walk(msgspec.json.decode(path.read_bytes()))
    return named


def _logs(stores: Stores, settings: CleanUp, now: datetime) -> Iterator[Leftover]:
    for path in _files(stores.home / "logs"):
        yield from _older(path, LOG, timedelta(days=settings.logs_days), now)


def _outputs(
    stores: Stores, settings: CleanUp, now: datetime, is_known_run: Callable[[str], bool]
) -> Iterator[Leftover]:
    """What steps of runs have printed, where the run itself was deleted."""
    folder = stores.home / "dagster" / "storage"
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_dir() and _is_run_id(place.name) and not is_known_run(place.name):
            yield from _older(place, OUTPUT, timedelta(days=settings.logs_days), now)


def _temporaries(stores: Stores, settings: CleanUp, now: datetime) -> Iterator[Leftover]:
    """What an atomic write leaves when its process is killed."""
    for top in stores.home.iterdir() if stores.home.is_dir() else ():
        if top.name in LEFT_ALONE:
            continue
        for path in _files(top):
            if path.name.startswith(".") and path.suffix == ".tmp":
                yield from _older(path, TEMPORARY, timedelta(hours=settings.temporaries_hours), now)


def _files(place: Path) -> Iterator[Path]:
    """Ordinary files at or below a place; links are not followed."""
    if place.is_symlink() or not place.exists():
        return
    if place.is_file():
        yield place
        return
    with contextlib.suppress(OSError):
        for below in place.iterdir():
            yield from _files(below)


def _older(path: Path, kind: str, than: timedelta, now: datetime) -> Iterator[Leftover]:
    age = timedelta(seconds=now.timestamp() - _written(path))
    if age > than:
        yield Leftover(path, kind, _size(path), age)


def _written(path: Path) -> float:
    """When it was last written; of one that has gone, just now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")


def _size(path: Path) -> int:
    files = _files(path) if path.is_dir() else [path]
    with contextlib.suppress(OSError):
        return sum(file.stat().st_size for file in files)
    return 0


def _is_run_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False

"""The demo's own home: emptied at the start, configured for a rollout of seconds, its event store in memory."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import yaml

from fx_assets.configuration import SHIPPED
from fx_assets.errors import FxError
from fx_assets.stack.environment import INSTANCE

MARKER = ".fx-demo"
TMPFS = Path("/dev/shm")
MEMORY_PREFIX = "fx-demo-"

# A rollout that takes seconds: the shipped policy of minutes and hours is for real traffic. The demo's traffic asks for
# the newest row of each instrument again and again: of so few distinct inputs no distribution can be judged, and of so
# few requests on a busy machine no small difference in speed.
ROLLOUT = {
    "steps": [5, 25, 50, 100],
    "window_s": 4,
    "min_requests": 20,
    "suite_cases": 12,
    "max_error_rate": 0.01,
    "max_p99_ms": 200,
    "max_latency_ratio": 5,
    "max_distribution_shift": None,
    "hold_timeout_s": 60,
}

# One shocked session has to do where the shipped policy waits for a second one.
MONITORING = {"drift": {"confirm_sessions": 1}}
# Whoever looks around afterwards rolls the retrained version out by hand; elsewhere the platform does so by itself.
AUTOMATION = {"rows": {"roll_out_promoted": {"enabled": False}}}


def empty_home(home: Path) -> None:
    """Make an empty demo home. Raises FxError for a folder that holds something else than an earlier demo."""
    if home.exists() and not home.is_dir():
        raise FxError(f"{home}: is a file. Name a folder with --home.")
    if home.exists() and any(home.iterdir()):
        if not (home / MARKER).exists():
            raise FxError(f"{home}: not empty, and not an earlier demo. Name another folder with --home.")
        _refuse_running(home)
        _drop_memory_store(home)
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / MARKER).write_text("Made by `fx demo`, which empties this folder when it starts.\n")
    _configure(home)


def _refuse_running(home: Path) -> None:
    """A platform that runs on the folder would lose its files under its feet."""
    lock = home / "serving" / ".lock"
    if not lock.exists():
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = file.read().strip()
            raise FxError(
                f"{home}: a platform runs on it (process {pid}). Stop it, or name another folder with --home."
            ) from None


def _drop_memory_store(home: Path) -> None:
    """Remove the event store that an earlier demo left in memory when it was killed."""
    settings = home / "dagster" / "dagster.yaml"
    if settings.exists():
        storage = yaml.safe_load(settings.read_text(encoding="utf-8")).get("storage", {})
        left = Path(storage.get("sqlite", {}).get("base_dir", home))
        if left.parent == TMPFS and left.name.startswith(MEMORY_PREFIX):
            shutil.rmtree(left, ignore_errors=True)


def configure_composed(home: Path) -> None:
    """The demo's settings for a composed platform. Raises FxError for one that holds a user's data or settings."""
    used = [name for name in ("lake", "config") if (home / name).exists()]
    if used and not (home / MARKER).exists():
        remedy = "The demo needs a new platform: make down, then FX_COMPOSE_FOLDER=DIR make up"
        raise FxError(f"{home}: holds {' and '.join(used)} of somebody. {remedy}.")
    (home / MARKER).write_text("`fx demo --against compose` ran here.\n")
    _configure(home)


def _configure(home: Path) -> None:
    """The shipped configuration with the short rollout, retraining after one session, and rollouts by hand."""
    folder = home / "config"
    folder.mkdir(exist_ok=True)
    models = yaml.safe_load((SHIPPED / "models.yaml").read_text(encoding="utf-8"))
    models["defaults"]["rollout"] = ROLLOUT
    files = {"models.yaml": models, "monitoring.yaml": MONITORING, "automation.yaml": AUTOMATION}
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


class EventStore:
    """Dagster's event store in memory while the demo runs, and on disk when it ends.

    A commit on disk costs milliseconds and a backfill makes thousands; the demo's history is worth keeping, but not
    worth waiting for. Where there is no /dev/shm it stays on disk throughout.
    """

    def __init__(self, home: Path):
        self.folder = home / "dagster"
        self._memory: Path | None = None

    def __enter__(self) -> EventStore:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = INSTANCE.read_text(encoding="utf-8")
        if TMPFS.is_dir() and os.access(TMPFS, os.W_OK):
            self._memory = Path(tempfile.mkdtemp(prefix=MEMORY_PREFIX, dir=TMPFS))
            settings += f"\nstorage:\n  sqlite:\n    base_dir: {self._memory}\n"
        (self.folder / "dagster.yaml").write_text(settings, encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        """Bring the store to where an instance without the setting looks for it."""
        if self._memory is None:
            return
        for part in self._memory.iterdir():
            shutil.move(str(part), self.folder / part.name)
        self._memory.rmdir()
        shutil.copyfile(INSTANCE, self.folder / "dagster.yaml")

"""What of a home is copied, and in which order.

A home is written to while it is copied, and no moment is the same for all of its files. So what refers to something is
copied before what it refers to, and each folder is listed only when its turn comes: what a copied reference names was
there when the reference was written, so it is there when its turn comes. The other way round, a model deployed in
between would be named by the copied routing table and missing from the copied bundles. In this order:

1. `serving/audit.head`, which may be older than the audit trail, never newer; `serving/routing.json`, which the
   controller writes anew from its state; the segments of the prediction log, before the database that takes them in:
   what is ingested and deleted in between is in the database.
2. The databases, each as of one moment. Those of the model registry follow each other while no champion can change.
3. Everything that nothing below refers to: settings, features, cards, reports, records of Dagster.
4. The lake against its flow: models, gold, silver, bronze. A table's stamp names what it was made of.
5. Bundles and the registry's files, which routing table, state and registry name.

Nothing of this is removed while something refers to it: a bundle never, a version's rows only on demand and not where
it is deployed or champion, bronze only by the archive, which keeps it and leaves a list in the lake.

Not copied is what only means something to running processes (addresses, locks, heartbeats, the key between them, which
is new at each start), what processes logged, and what `fx repair` keeps for this disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fx_assets.backup.reading import is_sqlite
from fx_serving.client.databases import SERVICE

FIRST = ("serving/audit.head", "serving/routing.json")
SEGMENTS = "serving/predictions"
REGISTRY = ("mlflow/promotions.db", "mlflow/mlflow.db")
LAKE, MODELS = "lake", ("bundles", "mlflow/artifacts")
LAYERS = ("lake/gold", "lake/silver", "lake/bronze")
LEFT_OUT = (
    *("copies", "damaged", "logs", "mlflow/locks", "serving/metrics", "serving/workers", "serving/evidence"),
    *("serving/internal.key", "serving/address.json", "serving/controller.json", "serving/ingest.json"),
    *("stack.json", "practice.json"),
)
_BESIDE = (".lock", "-wal", "-shm", "-journal")
DATABASE = (".db", ".sqlite", ".sqlite3")


@dataclass
class Listing:
    """The files of a home by stage. Each is given out once, in the first stage that it belongs to."""

    home: Path
    lake: bool = True
    _seen: set[str] = field(default_factory=set)

    def first(self) -> list[str]:
        """What is older than the databases, or as old."""
        segments = (path for path in self._below(SEGMENTS) if path.endswith(".ndjson"))
        return self._new([*(path for path in FIRST if (self.home / path).is_file()), *segments])

    def databases(self) -> list[str]:
        """Every SQLite file but those of the registry, the service's first."""
        found = [path for path in self._below("") if path.endswith(DATABASE) and path not in REGISTRY]
        return self._new(sorted((path for path in found if is_sqlite(self.home / path)), key=_service_first))

    def registry(self) -> list[str]:
        """The databases of the model registry."""
        return self._new([path for path in REGISTRY if (self.home / path).is_file()])

    def files(self) -> Iterator[list[str]]:
        """All else, stage by stage; each is listed when it is asked for."""
        later = (LAKE, *MODELS)
        yield self._new([path for path in self._below("") if not _is_in(path, later)])
        if self.lake:
            yield self._new([path for path in self._below(LAKE) if not _is_in(path, LAYERS)])
            for layer in LAYERS:
                yield self._new(list(self._below(layer)))
        for folder in MODELS:
            yield self._new(list(self._below(folder)))

    def size(self) -> int:
        """The bytes of everything that is there now."""
        total = 0
        for path in self._below(""):
            if self.lake or not _is_in(path, (LAKE,)):
                with contextlib.suppress(FileNotFoundError):
                    total += (self.home / path).stat().st_size
        return total

    def _new(self, paths: list[str]) -> list[str]:
        fresh = [path for path in paths if path not in self._seen]
        self._seen.update(fresh)
        return fresh

    def _below(self, folder: str) -> Iterator[str]:
        """Every file that is copied below a folder, sorted; hidden ones are temporaries, or of one process."""
        for where, folders, names in os.walk(self.home / folder, followlinks=True):
            base = Path(where).relative_to(self.home).as_posix()
            prefix = "" if base == "." else f"{base}/"
            folders[:] = sorted(n for n in folders if not n.startswith(".") and f"{prefix}{n}" not in LEFT_OUT)
            for name in sorted(names):
                if not name.startswith(".") and not name.endswith(_BESIDE) and f"{prefix}{name}" not in LEFT_OUT:
                    yield f"{prefix}{name}"


def _service_first(path: str) -> tuple[bool, str]:
    return path not in SERVICE, path


def _is_in(path: str, folders: tuple[str, ...]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)

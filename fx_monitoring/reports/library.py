"""Which reports are kept, and finding one by its name. A name is compared with what is there, and never made a path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from fx_serving.client.home import Stores

#: Kinds of reports, and the folder of each below Stores.reports.
KINDS = {"drift": "drift", "quality": "quality", "data_quality": "data-quality"}


@dataclass(frozen=True)
class Report:
    """A kept report."""

    kind: str
    name: str
    path: Path
    made_at: datetime
    size: int

    @property
    def url(self) -> str:
        return f"/reports/{self.kind}/{quote(self.name)}"


def kept(stores: Stores) -> list[Report]:
    """Every report, the newest first."""
    return sorted(_all(stores), key=lambda report: (report.made_at, report.name), reverse=True)


def find(stores: Stores, kind: str, name: str) -> Report | None:
    """The report of that kind and file name; None where there is none."""
    return next((r for r in _all(stores) if r.kind == kind and r.name == name), None)


def _all(stores: Stores) -> Iterator[Report]:
    for kind, folder in KINDS.items():
        place = stores.reports / folder
        for path in place.iterdir() if place.is_dir() else ():
            # A link could lead anywhere; a name with a dot in front is a file that is being written.
            if path.suffix != ".html" or path.name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # cleaned up meanwhile
            yield Report(kind, path.name, path, datetime.fromtimestamp(found.st_mtime, UTC), found.st_size)

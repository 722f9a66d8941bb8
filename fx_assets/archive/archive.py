"""The archive: packing months of bronze into another store, proving that they are there, and bringing them back.

    <archive>/bronze/candles/month=2021-03/<part>.tar and <part>.json (its manifest)

It only ever grows: files fetched after their month was packed make another part. Nothing is removed here before the
archive's copy was read back and hashed; and before the first file goes, a list of them is left in the lake, so that
readers know where they are. A crash between any two steps leaves files in both places at worst.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from fx_assets.archive.months import month_of
from fx_assets.archive.parts import Damaged, Manifest, pack, sha256, unpack
from fx_assets.bronze.files import ARCHIVED, CANDLES, NEWS, SUFFIX
from fx_assets.errors import MissingData, StoreError
from fx_assets.storage import Store

TABLES = (CANDLES, NEWS)


@dataclass(frozen=True)
class MonthState:
    """One table's month: how many files are here, in the archive, and in the archive only."""

    table: str
    month: str
    here: int
    archived: int
    only_archived: int
    parts: int


@dataclass
class Done:
    """What one run did, by (table, month): files packed, files removed here."""

    packed: dict[tuple[str, str], int] = field(default_factory=dict)
    removed: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """lake: where bronze lies. store: where the archive is."""

    lake: Store
    store: Store

    def here(self, table: str) -> dict[str, list[str]]:
        """Bronze files in the lake, by month."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.lake.list(table):
            if path.endswith(SUFFIX):
                found[month_of(path)].append(path)
        return dict(found)

    def manifests(self, table: str, month: str | None = None) -> dict[str, list[Manifest]]:
        """Manifests by month. Raises StoreError for one that cannot be read."""
        folder = table if month is None else f"{table}/month={month}"
        paths = [path for path in self.store.list(folder) if path.endswith(".json")]
        found: dict[str, list[Manifest]] = defaultdict(list)
        for path, content in self.store.read_all(paths).items():
            try:
                manifest = msgspec.json.decode(content, type=Manifest)
            except ValueError as error:
                raise self._damaged(path, str(error)) from None
            found[manifest.month].append(manifest)
        return dict(found)

    def status(self) -> list[MonthState]:
        """Every month of every table that is here or in the archive, sorted."""
        states = []
        for table in TABLES:
            here, manifests = self.here(table), self.manifests(table)
            for month in sorted({*here, *manifests}):
                archived = {file.path for manifest in manifests.get(month, ()) for file in manifest.files}
                only = archived - set(here.get(month, ()))
                counts = len(here.get(month, ())), len(archived), len(only), len(manifests.get(month, ()))
                states.append(MonthState(table, month, *counts))
        return states

    def run(self, before: str, remove_local: bool) -> Done:
        """Pack what months before `before` (YYYY-MM) have that is not in the archive yet; idempotent.

        remove_local: also remove what is verified to be in the archive. Raises StoreError when the archive does not
        hold what was written to it; nothing of that month is removed then.
        """
        done = Done()
        for table in TABLES:
            self.store.sweep(table)
            here, manifests = self.here(table), self.manifests(table)
            for month in sorted(month for month in here if month < before):
                parts = manifests.get(month, [])
                known = {file.path for manifest in parts for file in manifest.files}
                new = [path for path in here[month] if path not in known]
                if new:
                    parts = [*parts, self._add(table, month, new)]
                    done.packed[table, month] = len(new)
                if remove_local:
                    done.removed[table, month] = self._remove(parts, set(here[month]))
        return done

    def _add(self, table: str, month: str, paths: list[str]) -> Manifest:
        """Pack files into a new part, and prove that it arrived."""
        files = self.lake.read_all(paths)
        manifest, whole = pack(table, month, files)
        tar, told = _places(manifest)
        self.store.create_all({tar: whole})
        self._read_part(manifest)
        self.store.create_all({told: msgspec.json.encode(manifest)})
        return manifest

    def _remove(self, parts: list[Manifest], here: set[str]) -> int:
        """Remove a month's files, each after its copy in the archive was read and is the same."""
        removed = 0
        for manifest in parts:
            mine = [file for file in manifest.files if file.path in here]
            if not mine:
                continue
            self._read_part(manifest)
            present = self.lake.read_all(file.path for file in mine)
            if differing := [f.path for f in mine if f.path in present and sha256(present[f.path]) != f.sha256]:
                raise StoreError(
                    f"{self.lake.url}/{differing[0]}: differs from its copy in the archive ({len(differing)} such "
                    "files); bronze files are never changed, so one of them is damaged. Nothing was removed. "
                    "Move it away, and bring the archive's copy back with `fx archive restore`."
                )
            name = f"{ARCHIVED}/{manifest.table.rpartition('/')[2]}/{manifest.month}.{manifest.name}.json"
            self.lake.write(name, msgspec.json.encode({"files": [file.path for file in manifest.files]}))
            for file in mine:
                self.lake.delete(file.path)
            removed += len(mine)
        return removed

    def restore(self, month: str) -> int:
        """Bring a month back into the lake; returns how many files were not here before.

        Every byte is verified first. Raises MissingData when the archive does not have the month, StoreError for a
        part that is missing or damaged: nothing of the month is written then.
        """
        manifests = [m for table in TABLES for m in self.manifests(table, month).get(month, ())]
        if not manifests:
            raise MissingData(f"{self.store.url}: has no month {month}. See which it has: `fx archive status`.")
        files = {path: content for m in manifests for path, content in self._read_part(m).items()}
        have = {path for table in TABLES for path in self.here(table).get(month, ())}
        self.lake.create_all(files)
        return len(set(files) - have)

    def _read_part(self, manifest: Manifest) -> dict[str, bytes]:
        tar, _ = _places(manifest)
        try:
            return unpack(manifest, self.store.read(tar))
        except FileNotFoundError:
            raise self._damaged(tar, "it is not there") from None
        except Damaged as error:
            raise self._damaged(tar, str(error)) from None

    def _damaged(self, path: str, why: str) -> StoreError:
        return StoreError(
            f"{self.store.url}/{path}: cannot be used: {why}. Nothing was removed or changed here. Bring the object "
            "back from a backup or an older version of it; where its bronze files are still here, remove the object "
            "and its manifest, and run `fx archive run`."
        )


def _places(manifest: Manifest) -> tuple[str, str]:
    """Where a part's tar and its manifest lie in the archive."""
    folder = f"{manifest.table}/month={manifest.month}"
    return f"{folder}/{manifest.name}.tar", f"{folder}/{manifest.name}.json"

"""The backups at one URL: which are finished, whether they are whole, and which go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fx_assets.backup import objects
from fx_assets.backup.manifest import Damaged, Manifest, decode, encode
from fx_assets.errors import MissingData, StoreError
from fx_assets.storage import Store
from fx_assets.storage.overlapping import overlapping

FOLDER = "backups"
_THREADS, _BATCH = 8, 64


@dataclass(frozen=True)
class Kept:
    """One backup: its manifest; or none, where it was not finished (`damaged` is None) or the manifest is damaged."""

    id: str
    manifest: Manifest | None = None
    damaged: str | None = None


class Backups:
    """All backups of one home at one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> list[Kept]:
        """Every backup, finished or not, oldest first."""
        found: dict[str, Kept] = {}
        paths = self.store.list(FOLDER)
        for path in paths:
            if path.endswith(".begun"):
                id = _name(path).removesuffix(".begun")
                found[id] = Kept(id)
        for path, content in self.store.read_all(path for path in paths if path.endswith(".json")).items():
            name = _name(path)
            id = name.rpartition("-")[0]
            try:
                found[id] = Kept(id, decode(name, content))
            except Damaged as error:
                found[id] = Kept(id, damaged=f"{self.store.url}/{path}: cannot be used: {error}")
        return [found[id] for id in sorted(found)]

    def get(self, id: str | None = None) -> Manifest:
        """A finished backup, by default the newest. Raises MissingData, StoreError for one that cannot be used."""
        kept = self.all()
        written = [one for one in kept if one.manifest or one.damaged]
        wanted = [one for one in kept if one.id == id] if id is not None else written[-1:]
        if not wanted and id is not None:
            raise MissingData(f"{self.store.url}: has no backup {id}. See which it has: `fx backup list`.")
        if not wanted:
            begun = f"; {len(kept)} were begun" if kept else ""
            raise MissingData(
                f"{self.store.url}: has no finished backup{begun}. Check the URL, or make one: `fx backup`."
            )
        if (manifest := wanted[0].manifest) is not None:
            return manifest
        why = wanted[0].damaged or f"{self.store.url}: backup {wanted[0].id} was never finished"
        raise StoreError(f"{why}. Nothing was changed. Take another one with --backup; `fx backup list` shows them.")

    def begin(self, id: str) -> None:
        """Say that a backup was begun: without its manifest it then shows as interrupted."""
        self.store.write(f"{FOLDER}/{id}.begun", b"")

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the backup exists. What interrupted ones said of themselves goes."""
        name, content = encode(manifest)
        self.store.create_all({f"{FOLDER}/{name}": content})
        for path in self.store.list(FOLDER):
            if path.endswith(".begun") and _name(path) <= f"{manifest.id}.begun":
                self.store.delete(path)

    def prune(self, keep: int) -> list[str]:
        """Remove all finished backups but the newest `keep`, then every piece that no other one needs; returns which
        backups went. Killed in between, pieces nobody needs stay until the next call.

        Raises StoreError where a manifest cannot be used: it is unknown then which pieces it needs.
        """
        kept = self.all()
        if bad := next((one.damaged for one in kept if one.damaged), None):
            raise StoreError(f"{bad}. Nothing was removed. Bring it back from another copy, or remove it.")
        finished = [one.manifest for one in kept if one.manifest is not None]
        gone, stay = finished[:-keep], finished[-keep:]
        for manifest in gone:
            self.store.delete(f"{FOLDER}/{encode(manifest)[0]}")
        needed = {digest for manifest in stay for digest in manifest.objects}
        overlapping(
            _THREADS,
            lambda digest: self.store.delete(objects.place(digest)),
            sorted(objects.known(self.store) - needed),
        )
        self.store.sweep(objects.FOLDER)
        return [manifest.id for manifest in gone]

    def verify(self, manifests: list[Manifest], seen: Callable[[int], None] = lambda count: None) -> list[str]:
        """Read and hash every piece of the backups; what is wrong, with the files that it is part of. seen: told how
        many pieces were looked at.
        """
        users: dict[str, list[str]] = {}
        for manifest in manifests:
            for file in manifest.files:
                for digest in file.objects:
                    users.setdefault(digest, []).append(f"{manifest.id}: {file.path}")
        problems, digests = [], sorted(users)
        for start in range(0, len(digests), _BATCH):
            batch = digests[start : start + _BATCH]
            for digest, problem in zip(batch, overlapping(_THREADS, self._look, batch), strict=True):
                if problem is not None:
                    more = f" and {len(users[digest]) - 1} more" if len(users[digest]) > 1 else ""
                    problems.append(f"{problem} It is part of {users[digest][0]}{more}.")
            seen(len(batch))
        return problems

    def _look(self, digest: str) -> str | None:
        try:
            objects.read(self.store, digest)
        except StoreError as error:
            return str(error)
        return None


def _name(path: str) -> str:
    return path.rpartition("/")[2]

"""Which versions keep their training rows: nearly all that a version weighs, and needed only to make it again.

Nothing is pruned but by command. What is pruned is said in the version's tags before the rows go, so that whoever
asks for them later is told, and by which way they can be had again. Everything else of a version stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fx_assets.errors import ConfigError, StoreError
from fx_assets.models import promotion, registry
from fx_serving.client.clock import now, to_iso
from fx_serving.client.home import Stores
from fx_serving.client.rollout_log import deployed


@dataclass(frozen=True)
class Pruned:
    """A version whose training rows were (or would be) removed, and what that freed. bytes: size of the file."""

    version: str
    session: str
    bytes: int


def needed(stores: Stores, model: str, found: Sequence[registry.VersionRecord], keep: int) -> set[str]:
    """The versions that keep their rows: champion, challenger, the champion before, what is served, the `keep` newest.

    found: all versions of the model, newest first.
    """
    kept = {record.version for record in found[:keep]}
    kept |= {record.version for record in found if record.aliases}
    champion = next((record.version for record in found if registry.CHAMPION in record.aliases), None)
    if champion is not None and (before := promotion.before(promotion.history(stores, model), champion)):
        kept.add(before)
    return kept | {version for name, version in deployed(stores.state_db).items() if name == model}


def prune(stores: Stores, model: str, keep: int, *, dry_run: bool = False) -> list[Pruned]:
    """Remove the training rows of every version that is not `needed`; those already without are left out.

    Raises ConfigError for a negative `keep`, StoreError when the registry cannot be read.
    """
    if keep < 0:
        raise ConfigError(f"--keep: {keep} is negative. Say how many of the newest versions keep their rows.")
    found = registry.records(stores, model)
    kept = needed(stores, model, found, keep)
    gone = []
    for record in found:
        if record.version in kept:
            continue
        try:
            path = registry.artifact(stores, record, registry.ROWS)
        except StoreError:  # pruned before, or lost: there is nothing to remove
            continue
        if not path.resolve().is_relative_to(stores.home.resolve()):
            continue  # of a home that was copied: the file is the other one's
        gone.append(Pruned(record.version, record.session, path.stat().st_size))
        if not dry_run:
            tags = {registry.PRUNED: to_iso(now())}
            registry.set_version_tags(registry.open_registry(stores.home), model, record.version, tags)
            path.unlink()
    return gone

"""Who is champion: the only place that moves the registry's champion alias.

Every change holds the model's file lock, compares the champion with the one the caller decided upon, and is written
to the promotion log with reason and actor. The alias is one row of one database and moves in one transaction, so that
a process killed at any point leaves exactly one champion: the old one or the new one.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fx_assets.errors import StoreError
from fx_assets.models import registry
from fx_assets.models.promotion_log import Change, PromotionLog
from fx_serving.client.clock import now, to_iso
from fx_serving.client.home import Stores

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LOCK_S = 60.0
# A person's word, as it stands among the gates that a version missed.
BY_HAND = "rejected_by_hand"
ANY: Final[Any] = object()


class ConflictError(StoreError):
    """The champion is no longer the one that a decision was made against."""


class RefusedError(StoreError):
    """A change that the registry's state forbids: a rejected or expired version, a champion that is needed."""


class ExpiredError(RefusedError):
    """A version that is too old to become champion."""


def promote(
    stores: Stores,
    model: str,
    version: str,
    *,
    reason: str,
    actor: str,
    expected: str | None = ANY,
    force: bool = False,
) -> Change:
    """Make a version champion. Promoting the champion again changes nothing.

    expected: the champion that the decision was made against (None: there was none); left out, any will do.
    force: although its gates did not approve it, or it has expired.
    Raises ConflictError when the champion is another one than expected, RefusedError for a version that was not
    approved, ExpiredError for one that has expired, StoreError for one that does not exist or a registry that cannot
    be read.
    """
    _say(reason, actor)
    with _changing(stores, model) as (client, log, champion):
        found = registry.record(stores, model, version)
        if champion == version:
            return _last(log, model, version) or Change(
                0, now(), model, "promote", version, None, reason, actor, "done"
            )
        if expected is not ANY and champion != expected:
            raise ConflictError(
                f"{model}: version {version} was judged against {_name(expected)}, but the champion is now "
                f"{_name(champion)}. Materialize {model}/model_evaluation and what follows again."
            )
        if not force:
            _must_be_fit(found)
            _must_not_be_forbidden(log, found)
        return _move(client, log, Change(0, now(), model, "promote", version, champion, reason, actor, "meant"))


def reject(stores: Stores, model: str, version: str, *, reason: str, actor: str) -> Change:
    """Mark a version as rejected by a person: it cannot become champion without force, and keeps its report.

    Raises RefusedError for the champion itself, StoreError for a version that does not exist.
    """
    _say(reason, actor)
    with _changing(stores, model) as (client, log, champion):
        found = registry.record(stores, model, version)
        if champion == version:
            raise RefusedError(
                f"{model}: version {version} is the champion. Run `fx models rollback {model} --reason ...` first."
            )
        meant = log.mean(model, "reject", version, champion, reason, actor)
        missed = ",".join(dict.fromkeys([*found.missed, BY_HAND]))
        registry.set_version_tags(client, model, version, {"gates_missed": missed, "gates": "rejected"})
        return log.end(meant, "done")


def rollback(stores: Stores, model: str, *, reason: str, actor: str, to: str | None = None) -> Change:
    """Make the champion before the present one champion again, or another version that was once approved.

    Raises RefusedError when there is nothing to go back to, or it was rejected, by its gates or by a person.
    """
    _say(reason, actor)
    with _changing(stores, model) as (client, log, champion):
        if champion is None:
            raise RefusedError(f"{model}: there is no champion to roll back from. `fx models` shows what there is.")
        target = to or before(log.changes(model), champion)
        if target is None:
            raise RefusedError(
                f"{model}: no champion before version {champion} is on record. Name the version: "
                f"`fx models rollback {model} --to VERSION --reason ...`."
            )
        if target == champion:
            raise RefusedError(f"{model}: version {champion} is already the champion. Name another with --to.")
        found = registry.record(stores, model, target)
        if found.gates != "approved":
            raise RefusedError(
                f"{model}: version {target} is {found.gates}. Name an approved version with --to, or use "
                f"`fx models promote {model}/{target} --force --reason ...`."
            )
        _must_not_be_forbidden(log, found)
        return _move(client, log, Change(0, now(), model, "rollback", target, champion, reason, actor, "meant"))


def retire(stores: Stores, model: str, *, reason: str, actor: str) -> Change:
    """Leave a model without champion, as when what it foretells has changed: the next approved version needs none.

    What the service serves is not touched. Raises RefusedError where there is no champion.
    """
    _say(reason, actor)
    with _changing(stores, model) as (client, log, champion):
        if champion is None:
            raise RefusedError(f"{model}: there is no champion to retire.")
        return _move(client, log, Change(0, now(), model, "retire", "", champion, reason, actor, "meant"))


def history(stores: Stores, model: str | None = None) -> list[Change]:
    """Every change on record, oldest first. Raises StoreError when the log cannot be read."""
    return PromotionLog(stores.home).changes(model)


def before(changes: list[Change], champion: str) -> str | None:
    """The champion that the present one replaced, stepping over what was rolled back from."""
    stack: list[str] = []
    for change in changes:
        if change.outcome != "done" or not change.moves:
            continue
        if change.previous and (not stack or stack[-1] != change.previous):
            stack.append(change.previous)
        if change.action == "rollback" and change.version in stack:
            del stack[stack.index(change.version) + 1 :]
        elif change.version:
            stack.append(change.version)
    below = stack[: len(stack) - stack[::-1].index(champion) - 1] if champion in stack else []
    return next((version for version in reversed(below) if version != champion), None)


def person() -> str:
    """The actor of a command: the user's name on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown user"


def _move(client: MlflowClient, log: PromotionLog, change: Change) -> Change:
    """What is meant, the alias, how it ended: in this order."""
    meant = log.mean(change.model, change.action, change.version, change.previous, change.reason, change.actor)
    with registry.answers():
        if change.version:
            client.set_registered_model_alias(change.model, registry.CHAMPION, change.version)
        else:
            client.delete_registered_model_alias(change.model, registry.CHAMPION)
    return log.end(meant, "done")


@contextmanager
def _changing(stores: Stores, model: str) -> Iterator[tuple[MlflowClient, PromotionLog, str | None]]:
    """The registry, the log and the champion, with nobody else changing this model; a killed holder lets go."""
    client, log = registry.open_registry(stores.home), PromotionLog(stores.home)
    folder = stores.home / "mlflow" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{model}.lock"):
        champion = registry.version_with_alias(client, model, registry.CHAMPION)
        for change in log.changes(model):
            if change.outcome == "meant":  # its process died: the lock is ours
                log.end(change, "done" if _happened(client, change, champion) else "undone")
        yield client, log, champion


@contextmanager
def no_changes(stores: Stores) -> Iterator[None]:
    """Registry and log stand still together: no champion of any model changes meanwhile. Raises StoreError."""
    with ExitStack() as held:
        for path in sorted((stores.home / "mlflow" / "locks").glob("*.lock")):
            held.enter_context(_locked(path))
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else changes the champion of the model that the lock is named after."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=LOCK_S)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"{path.stem}: another process has been changing its champion for {LOCK_S:.0f} s. Wait for it, and try "
            "again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _happened(client: MlflowClient, change: Change, champion: str | None) -> bool:
    """Whether a change whose process died took place, by what the registry says."""
    if change.moves:
        return (change.version or None) == champion
    return registry.version_tags(client, change.model, change.version).get("gates") == "rejected"


def _last(log: PromotionLog, model: str, version: str) -> Change | None:
    """The change that made a version champion."""
    made = [c for c in log.changes(model) if c.moves and c.outcome == "done" and c.version == version]
    return made[-1] if made else None


def _must_be_fit(found: registry.VersionRecord) -> None:
    if found.gates != "approved":
        missed = f" (missed {', '.join(found.missed)})" if found.missed else ""
        raise RefusedError(
            f"{found.model}: version {found.version} is {found.gates}{missed}. See `fx models show "
            f"{found.model}/{found.version}`; --force promotes it all the same, on record."
        )
    if found.expired(now()):
        raise ExpiredError(
            f"{found.model}: version {found.version} expired at {to_iso(found.expires_at or now())}. Train a newer "
            "session; --force promotes it all the same, on record."
        )


def _must_not_be_forbidden(log: PromotionLog, found: registry.VersionRecord) -> None:
    """A person's rejection outlives a decision made again."""
    for change in log.changes(found.model):
        if change.action == "reject" and change.version == found.version and change.outcome == "done":
            raise RefusedError(
                f"{found.model}: version {found.version} was rejected by {change.actor}: {change.reason}. "
                f"`fx models promote {found.model}/{found.version} --force --reason ...` makes it champion even so."
            )


def _say(reason: str, actor: str) -> None:
    if not reason.strip() or not actor.strip():
        raise RefusedError("a change of champion needs a reason and an actor. Say why: --reason TEXT.")


def _name(version: str | None) -> str:
    return "none" if version is None else f"version {version}"

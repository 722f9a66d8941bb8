"""What the state store takes and gives: structs, and the rules that make their text the same in every database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

Utc = Annotated[datetime, msgspec.Meta(tz=True)]

QUEUED = "queued"
#: States a rollout does not leave again.
FINISHED = frozenset({"succeeded", "rolled_back", "failed", "aborted", "superseded", "concluded"})


class RolloutRow(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as the store keeps it; body: the controller's own JSON."""

    id: str
    model: str
    version: str
    state: str
    request_id: str | None
    created_at: Utc
    finished_at: Utc | None
    body: str


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """A model's blue version. previous: the one before it, kept hot until previous_until."""

    version: str
    rollout_id: str
    at: Utc
    previous: str | None = None
    previous_until: Utc | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, who did it and why. rollout_id, model: empty where it concerns none.

    detail: the figures behind it; NaN and infinities become null.
    """

    at: Utc
    actor: str
    model: str
    rollout_id: str
    what: str
    why: str
    state: str
    weight: float
    detail: dict[str, Any] = {}


class AuditRecord(AuditEntry, frozen=True, kw_only=True):
    """An entry as it stands in the trail."""

    seq: int
    previous: str
    hash: str


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """An access token; hash: sha256 of the whole token. rate_per_s: its own limit (None: the service's)."""

    id: str
    name: str
    role: str
    hash: str
    created_at: Utc
    revoked_at: Utc | None = None
    rate_per_s: float | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit does. deploy: model -> its blue from now on (None: it has none). Empty: a new generation only."""

    rollouts: tuple[RolloutRow, ...] = ()
    deploy: Mapping[str, Deployed | None] = {}
    tokens: tuple[TokenRow, ...] = ()
    audit: tuple[AuditEntry, ...] = ()


class LeaseState(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it stands after asking for it. held: the asker has it. term rises with every change of hands.

    holder: who has it ("" if nobody); remaining_s: until it runs out, by the database's clock.
    """

    term: int
    held: bool
    holder: str
    remaining_s: float


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """What a routing table is made of, read at one moment. term: the leader's."""

    generation: int
    term: int
    deployed: dict[str, Deployed]
    active: list[RolloutRow]


def iso(moment: datetime) -> str:
    """A time as the databases hold it: UTC, sortable as text."""
    return moment.astimezone(UTC).isoformat()


def moment(text: str | None) -> datetime | None:
    """`iso` back."""
    return None if text is None else datetime.fromisoformat(text)


def plain(text: str) -> str:
    """Text every database takes: no NUL, no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def canonical(detail: Mapping[str, Any]) -> str:
    """JSON whose text is the same for the same content: keys sorted, no spaces, NaN as null."""
    return plain(msgspec.json.encode(detail, order="sorted").decode())

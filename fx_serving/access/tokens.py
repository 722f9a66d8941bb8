"""Access tokens: made, checked for shape, revoked, and handed to the workers as a file of hashes.

A token reads `fxp_<id>_<secret>`; only its SHA-256 is kept, so that neither the database nor the file lets anyone in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fx_serving.access.internal import write_secret
from fx_serving.access.roles import ROLES
from fx_serving.state.base import StateStore
from fx_serving.state.rows import AuditEntry, Change, TokenRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKEN = re.compile(r"fxp_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
# Names by which the service itself speaks in the audit trail.
RESERVED = frozenset({"environment", "local", "controller", "anonymous"})


class TokenError(Exception):
    """The request about a token cannot be met; says what and what to do."""


class TokenFile(msgspec.Struct, frozen=True):
    """The content of tokens.json."""

    tokens: list[TokenRow] = []


def digest(token: bytes) -> str:
    """What is kept of a token. It has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(token).hexdigest()


def id_of(token: str) -> str | None:
    """The id inside a token; None for anything that has not its shape."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found else None


def create(state: StateStore, name: str, role: str, rate_per_s: float | None = None) -> tuple[TokenRow, str]:
    """A new token: its row, and the token itself, which is nowhere else. Raises TokenError."""
    if not _NAME.fullmatch(name):
        raise TokenError(f"name: {name!r}: 1 to 64 letters, digits, dots, dashes; begin with a letter or digit")
    if name in RESERVED:
        raise TokenError(f"name: {name!r} is a name of the service's own. Choose another.")
    if role not in ROLES:
        raise TokenError(f"role: {role!r}: must be one of {', '.join(ROLES)}")
    if rate_per_s is not None and not 0 < rate_per_s < 1e6:
        raise TokenError(f"rate: {rate_per_s:g}: must be above 0 (requests a second)")
    if any(row.name == name and row.revoked_at is None for row in state.tokens()):
        raise TokenError(f"name: {name!r} is in use. Choose another, or first: fx token revoke {name}")
    now = datetime.now(UTC)
    id = secrets.token_hex(6)
    token = f"fxp_{id}_{secrets.token_urlsafe(32)}"
    row = TokenRow(id=id, name=name, role=role, hash=digest(token.encode()), created_at=now, rate_per_s=rate_per_s)
    _commit(state, row, now, "created")
    return row, token


def revoke(state: StateStore, name_or_id: str) -> TokenRow:
    """End a token: the one of this id, or the one in force of this name. Raises TokenError."""
    rows = state.tokens()
    found = [row for row in rows if row.id == name_or_id]
    found = found or [row for row in rows if row.name == name_or_id and row.revoked_at is None]
    if not found:
        known = ", ".join(sorted(row.name for row in rows if row.revoked_at is None)) or "none"
        raise TokenError(f"{name_or_id!r}: no such token in force. In force: {known}.")
    old = found[0]
    if old.revoked_at is not None:
        return old
    now = datetime.now(UTC)
    row = msgspec.structs.replace(old, revoked_at=now)
    _commit(state, row, now, "revoked")
    return row


def _commit(state: StateStore, row: TokenRow, now: datetime, what: str) -> None:
    entry = AuditEntry(
        at=now,
        actor="local",
        model="",
        rollout_id="",
        what=f"token_{what}",
        why=f"token {row.name} ({row.role}) {what}",
        state="",
        weight=0.0,
        detail={"id": row.id, "name": row.name, "role": row.role, "rate_per_s": row.rate_per_s},
    )
    state.commit(Change(tokens=(row,), audit=(entry,)), None)


def publish(path: Path, rows: list[TokenRow]) -> None:
    """Write the file that workers read."""
    write_secret(path, msgspec.json.encode(TokenFile(rows)))


def read(path: Path) -> list[TokenRow]:
    """The tokens of a home, revoked ones included; none where the file is missing. ValueError where it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TokenFile).tokens
    except FileNotFoundError:
        return []

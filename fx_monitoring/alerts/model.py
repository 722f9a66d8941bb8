"""What an alert and a message about it are. Values only: no storage, no sending."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import msgspec

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
#: fired: new, worse or back again. repeat: still there. resolved: over.
Kind = Literal["fired", "repeat", "resolved"]


def rank(severity: str) -> int:
    """0 for info to 2 for critical."""
    return SEVERITIES.index(severity)  # type: ignore[arg-type]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A trouble. key: `<Name of its runbook>/<what it is about>`, the same for the same trouble."""

    key: str
    severity: Severity
    owner: str
    title: str
    detail: str
    link: str
    remedy: str

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"{self.key}: severity: {self.severity!r} is not one of {', '.join(SEVERITIES)}")
        name, _, what = self.key.partition("/")
        if not name or not what:
            raise ValueError(f"{self.key!r}: an alert's key is <Name>/<what it is about>, such as DiskLow/home")

    @property
    def name(self) -> str:
        """The first part of the key, which its runbook is called by."""
        return self.key.partition("/")[0]

    @property
    def subject(self) -> str:
        """The rest of the key: what it is about."""
        return self.key.partition("/")[2]


class OpenAlert(Alert, frozen=True, kw_only=True):
    """An alert as the desk holds it. count: how often it was reported, or came back."""

    first_seen: datetime
    last_seen: datetime
    count: int
    acked_by: str | None = None
    resolved_at: datetime | None = None
    why: str | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be told to one route. done: the addresses of the route that have it already, by position."""

    id: int
    key: str
    route: str
    kind: Kind
    severity: Severity
    subject: str
    body: str
    link: str
    created: float
    due: float
    attempts: int = 0
    held: bool = False
    done: tuple[int, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: one notice, or several in one. key: what a receiver may group by."""

    subject: str
    body: str
    severity: Severity
    resolved: bool
    key: str
    link: str

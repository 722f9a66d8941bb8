"""Rows and records for the tests of state stores, and changes made behind a store's back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from fx_serving.state import AuditEntry, RolloutRow

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def row(id: str, state: str = "canary", model: str = "m", **more: Any) -> RolloutRow:
    """A rollout's row."""
    known = {"version": "2", "request_id": None, "created_at": AT, "finished_at": None, "body": f'{{"id":"{id}"}}'}
    return RolloutRow(id=id, model=model, state=state, **(known | more))


def entry(what: str = "started", **more: Any) -> AuditEntry:
    """An audit entry."""
    known = {"actor": "ann", "model": "m", "rollout_id": "r1", "why": "because", "state": "canary", "weight": 5}
    return AuditEntry(at=AT, what=what, **(known | more))


def tamper(stores: Stores, *statements: str) -> None:
    """Change the database behind the store's back."""
    where = stores.state
    with closing(connect(where) if isinstance(where, str) else sqlite3.connect(where, isolation_level=None)) as db:
        cursor = db.cursor()
        for statement in statements:
            cursor.execute(statement)

"""What the controller recorded, read without it: rollouts, deployed versions and the audit trail of one home.

`where` is `Stores.state`: the SQLite file (opened read-only; it may be a copy), or the address of a PostgreSQL. Only
reading belongs here; writing is the controller's business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fx_serving.client.audit_chain import COLUMNS, GENESIS, AuditVerdict, chain_hash, verify
from fx_serving.client.state_address import StateAddressError, connect, describe, is_address, words

__all__ = [
    "GENESIS",
    "AuditVerdict",
    "RolloutLogError",
    "RolloutStates",
    "broken_audit",
    "chain_hash",
    "deployed",
    "rollout",
    "rollout_states",
    "rollouts_of",
    "verify_audit",
]

#: Runs a query and gives its rows one by one; `?` marks a value.
_Ask = Callable[..., Iterator[tuple]]
# What a database of an earlier version has instead of the columns it lacks.
_OLD = {"actor": "''", "detail": "'{}'", "form": "1"}


class RolloutLogError(Exception):
    """The controller's database is there but cannot be read."""


def verify_audit(where: Path | str, head: tuple[int, str] | None = None) -> AuditVerdict:
    """Check the whole trail; head: audit_chain.read_head(stores.audit_head). Raises RolloutLogError."""
    with _reading(where) as ask:
        if ask is None:
            return verify((), head)
        old = not is_address(where) and not _has_form(ask)
        columns = ", ".join(_OLD.get(name, name) if old else name for name in COLUMNS)
        return verify(ask(f"SELECT {columns} FROM audit ORDER BY seq"), head)


def broken_audit(where: Path | str, head: tuple[int, str] | None = None) -> int | None:
    """The number of the first audit record that is wrong or missing; None if all is well, or nothing there. Raises
    RolloutLogError.
    """
    return verify_audit(where, head).seq


def deployed(where: Path | str) -> dict[str, str]:
    """model -> the version that the service answers with (its blue). Raises RolloutLogError."""
    with _reading(where) as ask:
        found = () if ask is None else ask("SELECT model, version FROM deployed ORDER BY model")
        return {model: version for model, version in found}


def rollout(where: Path | str, id: str) -> dict[str, Any] | None:
    """One rollout as the controller keeps it (id, model, version, state, steps, events ...); None where it has none.

    Raises RolloutLogError.
    """
    return next(iter(_rollouts(where, "WHERE id=?", (id,))), None)


def rollouts_of(where: Path | str, model: str, version: str) -> list[dict[str, Any]]:
    """The rollouts of one version, newest first. Raises RolloutLogError."""
    return _rollouts(where, "WHERE model=? AND version=? ORDER BY created_at DESC", (model, version))


class RolloutStates(NamedTuple):
    """Rollouts of one model in one state. newest: when the last of them ended, ISO; None while it runs."""

    model: str
    state: str
    count: int
    newest: str | None


def rollout_states(where: Path | str) -> list[RolloutStates]:
    """How many rollouts of each model are in each state. Raises RolloutLogError."""
    with _reading(where) as ask:
        sql = "SELECT model, state, count(*), max(finished_at) FROM rollouts GROUP BY model, state"
        return [] if ask is None else [RolloutStates(*row) for row in ask(sql)]


def _rollouts(where: Path | str, rest: str, values: tuple) -> list[dict[str, Any]]:
    with _reading(where) as ask:
        bodies = [] if ask is None else list(ask(f"SELECT body FROM rollouts {rest}", values))
        return [msgspec.json.decode(body) for (body,) in bodies]


def _has_form(ask: _Ask) -> bool:
    return any(row[1] == "form" for row in ask("PRAGMA table_info(audit)"))


@contextmanager
def _reading(where: Path | str) -> Iterator[_Ask | None]:
    """The database, read-only; None where there is none (no service ever ran)."""
    try:
        if is_address(where):
            with _postgres(str(where)) as ask:
                yield ask
            return
        path = Path(where)
        if not path.is_file():
            yield None
            return
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            yield lambda sql, values=(): db.execute(sql, values)
    except (sqlite3.Error, msgspec.DecodeError, StateAddressError) as error:
        raise RolloutLogError(
            f"{describe(where)}: cannot be read: {error}. Restore it from a backup, or ask the running service: "
            "fx rollout status."
        ) from None


@contextmanager
def _postgres(address: str) -> Iterator[_Ask | None]:
    connection = connect(address, readonly=True, statement_s=300)
    import psycopg2  # connect() has told in words where it is missing

    def ask(sql: str, values: tuple = ()) -> Iterator[tuple]:
        with connection.cursor(name="fx_reader", withhold=True) as cursor:  # on the server: a trail may be long
            cursor.itersize = 2000
            cursor.execute(sql.replace("?", "%s"), values)
            yield from cursor

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('rollouts') IS NOT NULL")
            there = cursor.fetchone()[0]
        yield ask if there else None
    except psycopg2.Error as error:
        raise StateAddressError(words(error)) from None
    finally:
        connection.close()

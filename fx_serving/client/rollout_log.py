"""What the controller recorded, read without it: rollouts, deployed versions and the audit trail of one home.

Only reading belongs here (the database is opened read-only and may be a copy); writing is the controller's business.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

GENESIS = "0" * 64


class RolloutLogError(Exception):
    """The controller's database is there but cannot be read."""


def chain_hash(previous: str, fields: tuple) -> str:
    """The hash of an audit record: over the hash before it and its own fields."""
    return hashlib.sha256(msgspec.json.encode([previous, *fields])).hexdigest()


def first_broken(db: sqlite3.Connection) -> int | None:
    """The sequence number of the first audit record that does not follow from the one before; None if all do."""
    previous, expected = GENESIS, 1
    columns = "seq, at, rollout_id, model, what, why, state, weight, previous, hash"
    for seq, *fields, before, digest in db.execute(f"SELECT {columns} FROM audit ORDER BY seq"):
        if seq != expected or before != previous or digest != chain_hash(previous, tuple(fields)):
            return int(seq)
        previous, expected = digest, seq + 1
    return None


def broken_audit(path: Path) -> int | None:
    """`first_broken` of the database at `path`; None too where there is none. Raises RolloutLogError."""
    with _reading(path) as db:
        return None if db is None else first_broken(db)


def deployed(path: Path) -> dict[str, str]:
    """model -> the version that the service answers with (its blue). Raises RolloutLogError."""
    with _reading(path) as db:
        return {} if db is None else dict(db.execute("SELECT model, version FROM deployed ORDER BY model").fetchall())


def rollout(path: Path, id: str) -> dict[str, Any] | None:
    """One rollout as the controller keeps it (id, model, version, state, steps, events ...); None where it has none.

    Raises RolloutLogError.
    """
    return next(iter(_rollouts(path, "WHERE id=?", (id,))), None)


def rollouts_of(path: Path, model: str, version: str) -> list[dict[str, Any]]:
    """The rollouts of one version, newest first. Raises RolloutLogError."""
    return _rollouts(path, "WHERE model=? AND version=? ORDER BY created_at DESC", (model, version))


def _rollouts(path: Path, where: str, values: tuple) -> list[dict[str, Any]]:
    with _reading(path) as db:
        bodies = [] if db is None else db.execute(f"SELECT body FROM rollouts {where}", values).fetchall()
    return [msgspec.json.decode(body) for (body,) in bodies]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The database, read-only; None where there is no file (no service ever ran in this home)."""
    if not Path(path).is_file():
        yield None
        return
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            yield db
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise RolloutLogError(
            f"{path}: cannot be read: {error}. Restore the file from a backup, or ask the running service: "
            "fx rollout status."
        ) from None

"""From one revision of the state to another, by Alembic: in one transaction, one process at a time.

Alembic and SQLAlchemy are imported here alone, and only once there is something to migrate.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client.databases import copy_online
from fx_serving.client.files import fsync_dir
from fx_serving.client.state_address import LOCK, StateAddressError, connect, describe, words
from fx_serving.client.wal import use_wal
from fx_serving.state import schema
from fx_serving.state.base import CONTROLLER, StateError
from fx_serving.state.schema import Run

# As long as another process may take over a long audit trail.
_WAIT_S = 60
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
_PATIENT = (
    f"SET LOCAL lock_timeout TO '{_WAIT_S}s'",
    f"SET LOCAL idle_in_transaction_session_timeout TO '{_WAIT_S}s'",
    "SET LOCAL statement_timeout TO 0",
)


class Status(msgspec.Struct, frozen=True):
    """Which revision a database has. revision: None where there is none yet; pending: what an upgrade carries out."""

    where: str
    revision: str | None
    newest: str
    pending: list[str]


class Moved(msgspec.Struct, frozen=True):
    """A migration that was carried out. copy: of the SQLite file before it."""

    where: str
    before: str
    after: str
    copy: str | None = None


def status(where: Path | str) -> Status:
    """Look only. Raises StateError where it cannot be read, or is newer than this release."""
    revision, known = _read(where), schema.revisions()
    schema.check(revision, describe(where))
    pending = [] if revision is None else [one for one in known if one > revision]
    return Status(where=describe(where), revision=revision, newest=known[-1], pending=pending)


def upgrade(where: Path | str) -> Moved:
    """To the newest revision; nothing happens where another process was quicker. Raises StateError."""
    newest = schema.revisions()[-1]
    if _read(where) == newest:
        return Moved(where=describe(where), before=newest, after=newest)
    return _move(where, newest, "upgrade")


def downgrade(where: Path | str, target: str) -> Moved:
    """To an older revision, where that loses nothing and no controller leads. Raises StateError."""
    now = status(where).revision or ""
    older = [one for one in schema.revisions() if one < now]
    if target not in older:
        raise StateError(
            f"{describe(where)}: has revision {now or 'none'}, and {target!r} is not before it. "
            f"There is: {', '.join(older) or 'none'}"
        )
    return _move(where, target, "downgrade")


def _move(where: Path | str, target: str, how: str) -> Moved:
    try:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError
        from sqlalchemy.exc import DBAPIError
    except ImportError:
        raise StateError(
            f"{describe(where)}: has revision {_read(where)}, and {target} is wanted, but Alembic is not installed. "
            "Run `fx state upgrade` once with the image fx-platform, or: pip install 'fx-platform[migrations]'"
        ) from None
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    try:
        with _transaction(where) as (connection, run):
            dialect = connection.dialect.name
            revision, stamped = schema.read(run, schema.TABLES[dialect])
            schema.check(revision, describe(where))
            if revision is None:
                raise StateError(f"{describe(where)}: holds no tables; the service makes them when it starts")
            if how == "downgrade":
                _refuse_while_led(run, _NOW[dialect], where)
            if not stamped:
                schema.stamp(run, revision)
            config.attributes["connection"] = connection
            getattr(command, how)(config, target)
            schema.stamp(run, target)
            # Of what is committed, so of the database as it was.
            copy = _keep_copy(where, revision) if isinstance(where, Path) and revision != target else None
    except (DBAPIError, CommandError, StateAddressError, sqlite3.Error, OSError) as error:
        raise StateError(
            f"{describe(where)}: {how} to revision {target}: {_words(error)}; nothing was changed"
        ) from None
    return Moved(where=describe(where), before=revision, after=target, copy=copy and str(copy))


def _words(error: Exception) -> str:
    """What went wrong, without SQL and without an address."""
    cause = getattr(error, "orig", None) or error
    return str(cause) if isinstance(cause, sqlite3.Error) or cause is error else words(cause)


def _refuse_while_led(run: Run, now: str, where: Path | str) -> None:
    held = run(f"SELECT holder FROM leases WHERE name = ? AND holder <> '' AND expires_at > {now}", (CONTROLLER,))
    if held:
        raise StateError(
            f"{describe(where)}: the controller {held[0][0]} leads; stop the service first. Nothing was changed"
        )


@contextmanager
def _transaction(where: Path | str) -> Iterator[tuple[Any, Run]]:
    """A connection of SQLAlchemy's, inside one transaction that no other process migrates in."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    kind, creator, begin, mark = _dialect(where)
    engine = create_engine(f"{kind}://", creator=creator, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _(connection: Any) -> None:
        for statement in begin:
            connection.exec_driver_sql(statement)

    with engine.begin() as connection:

        def run(sql: str, values: tuple = ()) -> list[tuple]:
            found = connection.exec_driver_sql(sql.replace("?", mark), values or None)
            return [tuple(row) for row in found] if found.returns_rows else []

        yield connection, run


def _dialect(where: Path | str) -> tuple[str, Callable[[], Any], tuple[str, ...], str]:
    def file() -> Any:
        db = sqlite3.connect(where, isolation_level=None, timeout=_WAIT_S)
        use_wal(db, _WAIT_S)  # others may read it meanwhile, as the copy does
        return db

    def server() -> Any:
        db = connect(str(where))
        db.autocommit = False  # SQLAlchemy commits
        return db

    if isinstance(where, Path):
        return "sqlite", file, ("BEGIN IMMEDIATE",), "?"
    return "postgresql+psycopg2", server, (*_PATIENT, LOCK), "%s"


def _keep_copy(where: Path, revision: str) -> Path:
    """A copy of the file beside it, named by its revision; one of an earlier migration from there is replaced."""
    made, place = where.with_name(f".{where.stem}-{revision}.tmp"), where.with_name(f"{where.stem}-{revision}.db")
    made.unlink(missing_ok=True)
    if why := copy_online(where, made):
        raise StateError(
            f"{where}: its copy is damaged ({why}); nothing was changed. Look at the disk: fx repair check"
        )
    with made.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(made, place)
    fsync_dir(where.parent)
    return place


def _read(where: Path | str) -> str | None:
    """The revision, by plain SQL and without a lock."""
    try:
        if isinstance(where, Path):
            if not where.exists():
                return None
            with closing(sqlite3.connect(f"{where.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
                return schema.read(lambda sql: db.execute(sql).fetchall(), schema.TABLES["sqlite"])[0]
        with closing(connect(where, readonly=True)) as db:
            return _read_postgres(db)
    except (sqlite3.Error, StateAddressError) as error:
        raise StateError(f"{describe(where)}: cannot be read: {error}") from None


def _read_postgres(db: Any) -> str | None:
    import psycopg2

    def run(sql: str) -> list[tuple]:
        cursor.execute(sql)
        return cursor.fetchall()

    try:
        with db.cursor() as cursor:
            return schema.read(run, schema.TABLES["postgresql"])[0]
    except psycopg2.Error as error:
        raise StateAddressError(words(error)) from None

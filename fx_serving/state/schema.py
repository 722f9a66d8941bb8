"""The tables of the state, and which revision of them a database has. `?` marks a value in SQL.

A new database begins with SCHEMA, at the newest revision, as Alembic recommends; those made earlier get there by the
revisions in migrations/versions. Nothing here needs Alembic: the service starts without it, unless it has to migrate.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fx_serving.state.base import StateError
from fx_serving.state.rows import FINISHED, QUEUED

#: Runs one statement and gives its rows.
Run = Callable[..., list[tuple]]

MIGRATIONS = Path(__file__).with_name("migrations")
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}
# Times are ISO 8601 text in UTC in both databases, so that a record's hash is the same in both.
SCHEMA = (
    "CREATE TABLE rollouts (id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, "
    "state TEXT NOT NULL, request_id TEXT UNIQUE, created_at TEXT NOT NULL, finished_at TEXT, body TEXT NOT NULL)",
    "CREATE TABLE deployed (model TEXT PRIMARY KEY, version TEXT NOT NULL, rollout_id TEXT NOT NULL, "
    "at TEXT NOT NULL, previous TEXT, previous_until TEXT)",
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, "
    "rollout_id TEXT NOT NULL, model TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, state TEXT NOT NULL, "
    "weight DOUBLE PRECISION NOT NULL, detail TEXT NOT NULL, form INTEGER NOT NULL, previous TEXT NOT NULL, "
    "hash TEXT NOT NULL)",
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, "
    "hash TEXT NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT, rate_per_s DOUBLE PRECISION)",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, "
    "expires_at DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), value BIGINT NOT NULL)",
    "INSERT INTO generation VALUES (1, 0)",
    # At most one running rollout of a model, whatever the code above does.
    "CREATE UNIQUE INDEX one_running ON rollouts (model) WHERE state NOT IN "
    f"({', '.join(repr(state) for state in (QUEUED, *sorted(FINISHED)))})",
    "CREATE INDEX rollouts_by_time ON rollouts (created_at)",
    "CREATE INDEX audit_by_model ON audit (model, seq)",
)
_STAMP = (
    # As Alembic makes it.
    "CREATE TABLE IF NOT EXISTS alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    "DELETE FROM alembic_version",
    # Releases from before Alembic know a database's form by this table alone; ingested predictions share it.
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)


def revisions() -> list[str]:
    """All that this release knows, oldest first: the numbers that the files' names begin with."""
    return sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def read(run: Run, list_tables: str) -> tuple[str | None, bool]:
    """A database's revision, None for an empty one; and whether it is noted as Alembic does it."""
    tables = {name for (name,) in run(list_tables)}
    if "rollouts" not in tables:
        return None, False
    noted = run("SELECT version_num FROM alembic_version") if "alembic_version" in tables else []
    form = run("SELECT value FROM meta WHERE key = 'schema'") if "meta" in tables else []
    stamped = noted[0][0] if noted else ""
    # The form is ahead where a release from before Alembic migrated after a downgrade.
    found = max(stamped, f"{form[0][0]:0>4}" if form else "0001")
    return found, found == stamped


def check(revision: str | None, where: str) -> None:
    """Raise StateError where this release does not know the revision."""
    known = revisions()
    if revision is not None and revision not in known:
        raise StateError(
            f"{where}: was written by a newer version of the platform (revision {revision}; this one knows up to "
            f"{known[-1]}). Use that one, or go back with it: fx state downgrade {known[-1]}"
        )


def make(run: Run) -> None:
    """The tables of an empty database, and the newest revision noted."""
    for statement in SCHEMA:
        run(statement)
    stamp(run, revisions()[-1])


def stamp(run: Run, revision: str) -> None:
    """Note a revision, for Alembic and for releases from before it."""
    for statement in _STAMP:
        run(statement)
    run("INSERT INTO alembic_version VALUES (?)", (revision,))
    run(
        "INSERT INTO meta VALUES ('schema', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (str(int(revision)),),
    )

"""Tokens and leases; who acted, on which figures; the version that stands by; rollouts that wait."""

from alembic import op
from alembic.util import CommandError

revision, down_revision = "0002", "0001"

_UPGRADE = (
    "ALTER TABLE deployed ADD COLUMN previous TEXT",
    "ALTER TABLE deployed ADD COLUMN previous_until TEXT",
    "ALTER TABLE audit ADD COLUMN actor TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '{}'",
    # Records of the first form keep it, and with it their hashes.
    "ALTER TABLE audit ADD COLUMN form INTEGER NOT NULL DEFAULT 1",
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, "
    "hash TEXT NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT, rate_per_s DOUBLE PRECISION)",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, "
    "expires_at DOUBLE PRECISION NOT NULL)",
    "DROP INDEX IF EXISTS one_active",
    "CREATE UNIQUE INDEX one_running ON rollouts (model) WHERE state NOT IN "
    "('queued', 'aborted', 'concluded', 'failed', 'rolled_back', 'succeeded', 'superseded')",
    "CREATE INDEX rollouts_by_time ON rollouts (created_at)",
    "CREATE INDEX audit_by_model ON audit (model, seq)",
)
_DOWNGRADE = (
    "DROP INDEX audit_by_model",
    "DROP INDEX rollouts_by_time",
    "DROP INDEX one_running",
    "CREATE UNIQUE INDEX one_active ON rollouts (model) WHERE state NOT IN "
    "('succeeded', 'rolled_back', 'failed', 'aborted')",
    "DROP TABLE leases",
    "DROP TABLE tokens",
    "ALTER TABLE audit DROP COLUMN form",
    "ALTER TABLE audit DROP COLUMN detail",
    "ALTER TABLE audit DROP COLUMN actor",
    "ALTER TABLE deployed DROP COLUMN previous_until",
    "ALTER TABLE deployed DROP COLUMN previous",
)
#: What the first form has no place for.
_NEW = {
    "audit records": "audit WHERE form <> 1",
    "tokens": "tokens",
    "versions that stand by": "deployed WHERE previous IS NOT NULL",
    "rollouts": "rollouts WHERE state IN ('queued', 'superseded', 'concluded')",
}


def upgrade() -> None:
    """Add what is missing; no row changes."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it away again, where that loses nothing."""
    if op.get_bind().dialect.name != "sqlite":
        raise CommandError("releases of revision 0001 cannot use a PostgreSQL")
    counts = {
        what: op.get_bind().exec_driver_sql(f"SELECT count(*) FROM {rows}").scalar() for what, rows in _NEW.items()
    }
    if lost := [f"{what} ({count})" for what, count in counts.items() if count]:
        raise CommandError(f"revision 0001 has no place for what was written since: {', '.join(lost)}")
    for statement in _DOWNGRADE:
        op.execute(statement)

"""The first form: rollouts, deployed versions and an audit trail, in SQLite. A database that notes no form has it."""

revision, down_revision = "0001", None


def upgrade() -> None:
    """Nothing: a database either has this form, or is new and begins at the newest one (state/schema.py)."""


def downgrade() -> None:
    """Nothing is before it."""

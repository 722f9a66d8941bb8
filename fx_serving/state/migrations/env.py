"""What Alembic runs: the revisions, on the connection and within the transaction that state/migrate.py gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()

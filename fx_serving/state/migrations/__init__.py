"""What Alembic runs to bring a state of an earlier release up to date. Nothing imports it: see state/migrate.py."""

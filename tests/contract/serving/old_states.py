"""Databases as earlier releases left them, what is in a database, and a release that is yet to come."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from fx_serving.state import schema

NEXT = '''"""A release that is yet to come: rollouts have a note."""

from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE rollouts ADD COLUMN note TEXT")
    op.execute("CREATE TABLE notes (id TEXT PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE notes")
    op.execute("ALTER TABLE rollouts DROP COLUMN note")
'''


def remove(stores: Stores) -> None:
    """The database, and what was copied from it."""
    if isinstance(stores.state, str):
        with closing(connect(stores.state)) as db, db.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS fx_serving CASCADE")
        return
    for path in stores.serving.glob("*state*"):
        path.unlink()


def make_old(stores: Stores, form: int) -> None:
    """The database of an earlier release, by its own SQL. The first form was in SQLite only: a likeness of it."""
    sql = Path(__file__).with_name(f"state_form_{form}.sql").read_text()
    if isinstance(stores.state, str):
        sql = sql.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "SERIAL PRIMARY KEY")
        with closing(connect(stores.state)) as db, db.cursor() as cursor:
            cursor.execute("CREATE SCHEMA fx_serving")
            cursor.execute(sql)
        return
    stores.serving.mkdir(exist_ok=True)
    with closing(sqlite3.connect(stores.state, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(sql)


def rows(stores: Stores) -> dict[str, list[tuple]]:
    """table -> its columns, then its rows: everything that a database holds."""
    found: dict[str, list[tuple]] = {}
    where = stores.state
    with closing(connect(where) if isinstance(where, str) else sqlite3.connect(where)) as db:
        cursor = db.cursor()
        cursor.execute(schema.TABLES["postgresql" if isinstance(where, str) else "sqlite"])
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            found[table] = [tuple(column[0] for column in cursor.description), *cursor.fetchall()]
    return found


def later_release(folder: Path) -> Path:
    """The revisions of a release that knows one more, in a folder of their own."""
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0003_notes.py").write_text(NEXT)
    return folder

"""The change to SQLite's write-ahead log waits for other processes, and not for ever."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fx_serving.client.wal import use_wal


@pytest.fixture
def held(tmp_path: Path):
    """A file in its first mode that another connection has for itself; released by its rollback."""
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)) as db:
        db.execute("CREATE TABLE rows (n)")
        db.execute("BEGIN EXCLUSIVE")
        yield db


@pytest.fixture
def opened(tmp_path: Path, held):
    with closing(sqlite3.connect(tmp_path / "x.db", timeout=0)) as db:
        yield db


def test_it_waits_until_nobody_has_the_file_alone(held, opened):
    release = threading.Timer(0.3, lambda: held.execute("ROLLBACK"))
    release.start()
    use_wal(opened, 120)
    release.join()
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_it_gives_up(opened):
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(opened, 0.1)


def test_what_is_no_database_is_told_at_once(tmp_path):
    (tmp_path / "y.db").write_bytes(b"no database" * 100)
    with (
        closing(sqlite3.connect(tmp_path / "y.db")) as db,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        use_wal(db, 120)

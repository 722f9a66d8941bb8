"""Damaged files at the start of `fx up`: its own are mended, the deployment service's are left to the service."""

import sqlite3
from contextlib import closing

from fx_assets.configuration import load_configuration
from fx_assets.stack.stack import Ports, Stack
from fx_serving.client import databases
from fx_serving.client.home import Stores

OURS, THEIRS = "monitoring/trading.db", "serving/state.db"
NOTHING = Ports(dagster=None, serving=None, mlflow=None, reports=None, exporter=None)


def test_its_own_damaged_files_are_restored_before_anything_starts(tmp_path):
    stores = Stores(tmp_path)
    for name in (OURS, THEIRS):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE rows (number INTEGER)")
            db.execute("INSERT INTO rows VALUES (7)")
        assert databases.copy(stores, name) is not None
        path.write_bytes(b"\xff" * 4096)
    with Stack(tmp_path, load_configuration(), NOTHING) as stack:
        stack.start()
        (done,) = stack.repairs
    assert done.file == OURS
    with closing(sqlite3.connect(tmp_path / OURS)) as db:
        assert db.execute("SELECT number FROM rows").fetchall() == [(7,)]
    assert databases.damage(tmp_path / THEIRS) is not None, "whoever may be serving this home has it open"

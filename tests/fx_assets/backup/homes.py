"""A small home with one file of every kind that a backup treats in its own way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from fx_assets.backup.kept import Backups
from fx_assets.backup.make import Made, make
from fx_assets.backup.restore import restore
from fx_assets.storage import open_store
from tests.fx_assets.cli.conftest import files_below

STATE, SEGMENT = "serving/state.db", "serving/predictions/w0-000001.ndjson"
KEPT = {
    "config/models.yaml": b"models: {}\n",
    "serving/audit.head": b'{"seq": 1}',
    SEGMENT: b'{"n": 1}\n{"n": 2}\n',
    "lake/bronze/candles/instrument=X/session=2021-03-01/a.ndjson.gz": b"bronze",
    "lake/silver/candles/session=2021-03-01/part.parquet": b"silver" * 1000,
    "lake/gold/features/session=2021-03-01/part.parquet": b"gold" * 1000,
    "lake/models/m/training_set/session=2021-03-01/part.parquet": b"rows",
    "feast/registry.db": b"no SQLite, whatever its name says",
    "mlflow/artifacts/run/artifacts/spec.json": b"{}",
    "studies/m/2021-03-01.journal": b"one\ntwo\n",
    "monitoring/empty.json": b"",
}
LEFT = {
    "serving/internal.key": b"hunter2-hunter2",
    "serving/address.json": b"{}",
    "serving/metrics/gauge.db": b"x",
    "mlflow/locks/m.lock": b"",
    "logs/runs.log": b"x",
    "copies/serving/state.db/1-a.db": b"x",
    "stack.json": b"{}",
    "lake/gold/features/session=2021-03-01/.part.parquet.0.tmp": b"torn",
}


def write(home: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)


def add_rows(home: Path, numbers: range, name: str = STATE) -> None:
    """Rows in a database of the home, in WAL mode as the service's."""
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(home / name)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO rows VALUES (?, ?)", [(n, f"row {n} " * 20) for n in numbers])


def rows(home: Path, name: str = STATE) -> list[int]:
    with closing(sqlite3.connect(home / name)) as db:
        return [n for (n,) in db.execute("SELECT number FROM rows ORDER BY number")]


def deploy(home: Path, version: int) -> None:
    """As the service does it: the bundle is there before the routing table names it."""
    bundle = {f"bundles/m/{version}/model.onnx": b"model %d" % version}
    write(home, bundle)
    write(home, {"serving/routing.json": msgspec.json.encode({"version": version})})


def small_home(home: Path) -> Path:
    write(home, {**KEPT, **LEFT})
    add_rows(home, range(100))
    for name in ("mlflow/mlflow.db", "mlflow/promotions.db"):
        add_rows(home, range(3), name)
    (home / "serving/audit.head").chmod(0o600)
    deploy(home, 1)
    return home


def back_up(home: Path, where: str, keep: int | None = None) -> Made:
    return make(home, Backups(open_store(where)), keep=keep)


def bring_back(where: str, home: Path, id: str | None = None) -> Path:
    backups = Backups(open_store(where))
    restore(backups.store, backups.get(id), home)
    return home


def plain(home: Path) -> dict[str, bytes]:
    """Every file that is no database."""
    return {
        name: content
        for name, content in files_below(home).items()
        if not name.startswith(".backup") and not name.endswith(("-wal", "-shm")) and not content.startswith(b"SQLite")
    }

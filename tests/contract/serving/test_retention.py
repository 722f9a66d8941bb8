"""What is deleted of the prediction log and when, over SQLite and PostgreSQL, and what is remembered of it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from fx_serving.client.home import Stores
from fx_serving.client.prediction_db import reading
from fx_serving.client.prediction_log import find, read_feedback, read_predictions
from fx_serving.config import LogSettings
from fx_serving.ingest import retention
from fx_serving.ingest.ingester import Ingester, open_database
from tests.contract.serving.log_records import START, feedback, prediction, shadow, write
from tests.contract.serving.tables import rows

DAY = 86_400


def test_old_segments_are_deleted_but_no_newest_and_none_with_something_left(stores, ingester):
    folder = stores.predictions
    old = [write(folder / f"w0-00000{i}.ndjson", [prediction(i)], tail=b"torn") for i in (1, 2)]
    young = write(folder / "w0-000003.ndjson", [prediction(3)])
    last = [write(folder / "w0-000004.ndjson", [prediction(4)]), write(folder / "w9-000001.ndjson", [prediction(9)])]
    seen = [write(folder / f"feedback-w0-00000{i}.ndjson", [feedback(i)]) for i in (1, 2)]
    for path in (*old, *last, *seen):
        _age(path, 8)
    ingester.step()
    assert all(path.exists() for path in (*old, *last, *seen)), "deleted at once: a reader could miss them"
    now = time.time()
    ingester.clock = lambda: now + 700
    with old[1].open("ab") as file:  # what is taken from it now was taken too short a time ago
        file.write(b"\n" + b"no record\n")
    _age(old[1], 8)
    ingester.step()
    left = set(folder.glob("*.ndjson"))
    assert left == {old[1], young, *last, seen[1]}
    assert [r.prediction_id for r in read_predictions(folder)] == ["p1", "p2", "p3", "p4", "p9"]
    assert len(list(read_feedback(folder))) == 2


def _age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def test_old_rows_are_deleted_in_steps_and_their_ids_remembered(stores, monkeypatch):
    monkeypatch.setattr(retention, "_ROWS", 100)
    now = START.timestamp() + 401 * DAY
    with closing(open_database(stores)) as database:
        ingester = Ingester(stores.predictions, database, LogSettings(), clock=lambda: now)
        recent = prediction(1_000_000, logged_at=START + timedelta(days=400))
        write(stores.predictions / "w0-000001.ndjson", [prediction(i) for i in range(600)] + [recent])
        write(stores.predictions / "shadow-w0-000001.ndjson", [shadow(prediction(1))])
        write(stores.predictions / "feedback-w0-000001.ndjson", [feedback(1, prediction(1)), feedback(2, recent)])
        ingester.step()
        assert rows(stores, "SELECT count(*) FROM predictions") == [(101,)]  # five steps of a hundred
        ingester.step()
        assert [r.prediction_id for r in read_predictions(stores.predictions)] == ["p1000000"]
        for table in ("shadows", "feedback"):
            assert rows(stores, f"SELECT count(*) FROM {table}") == [(0,)]
        assert len(rows(stores, "SELECT at FROM decisions")) == 1
        with reading(stores.predictions) as log:
            assert log is not None
            assert log.forgotten("p7") is not None
            assert log.forgotten("p1000000") is None
            assert log.forgotten("nobody") is None
        assert find(stores.predictions, "p7") is None, "its line is still in the segment, but it was deleted"
        now += 401 * DAY
        for _ in range(7):
            ingester.step()
        assert rows(stores, "SELECT count(*) FROM forgotten") == [(1,)]


def test_room_of_deleted_rows_is_given_back(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores, now = Stores(tmp_path), START.timestamp()
    with closing(open_database(stores)) as database:
        ingester = Ingester(stores.predictions, database, LogSettings(), clock=lambda: now)
        write(stores.predictions / "w0-000001.ndjson", [prediction(i) for i in range(8000)])
        ingester.step()
        pages = rows(stores, "PRAGMA page_count")[0][0]
        now += 500 * DAY
        ingester.step()
        assert rows(stores, "PRAGMA page_count")[0][0] < pages / 2

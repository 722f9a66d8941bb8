"""The ingested prediction log over SQLite and PostgreSQL: every record once and only once, whatever dies when."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import (
    PredictionLogError,
    decode,
    find,
    kind_of,
    lines_from,
    read_feedback,
    read_predictions,
    read_shadows,
    segments,
)
from fx_serving.config import LogSettings
from fx_serving.ingest import app, query
from fx_serving.ingest.ingester import Ingester, open_database
from fx_serving.ingest.sqlite import SqliteDatabase
from fx_serving.ingest.tables import DatabaseError
from tests.contract.serving.log_records import START, feedback, prediction, shadow, write
from tests.contract.serving.tables import rows
from tests.counts import count
from tests.servers.postgres import PASSWORD
from tests.servers.serving import wait_until

ROOT = Path(__file__).resolve().parents[3]


def test_records_come_back_as_they_were(stores, ingester):
    first, second = prediction(1, logged_at=START + timedelta(microseconds=1)), prediction(2, features={}, key=None)
    bare = prediction(3, instrument="", feature_time=None, feature_age_s=None, outlier_score=None, overridden=["a"])
    told = [feedback(1, first), feedback(2, realized_direction=None)]
    folder = stores.predictions
    write(folder / "w0-000001.ndjson", [first, second, bare])
    write(folder / "feedback-w0-000001.ndjson", told)
    write(folder / "shadow-w0-000001.ndjson", [shadow(first), shadow(second, prediction=None, failed="deadline")])
    assert ingester.step().records == 7
    assert ingester.step().records == 0
    for path in folder.glob("*.ndjson"):
        path.unlink()  # only the database is left
    assert list(read_predictions(folder)) == [first, second, bare]
    assert list(read_feedback(folder)) == told
    assert find(folder, "p1") == first
    assert find(folder, "nobody") is None
    assert list(read_predictions(folder, since=second.timestamp, until=bare.timestamp)) == [second]
    assert rows(stores, "SELECT prediction_id, prediction, failed FROM shadows ORDER BY prediction_id") == [
        ("p1", 0.75, None),
        ("p2", None, "deadline"),
    ]


def test_shadows_and_feedback_are_read_by_decision_time_from_tables_and_segments(stores, ingester):
    folder, records = stores.predictions, [prediction(n) for n in range(6)]
    unseen = [shadow(record, prediction=None, failed="deadline") for record in records]
    told = [feedback(n, record) for n, record in enumerate(records)]
    write(folder / "shadow-w0-000001.ndjson", unseen[:4])
    write(folder / "feedback-w0-000001.ndjson", told[:4])
    ingester.step()
    write(folder / "shadow-w1-000001.ndjson", unseen[3:])  # one of them is in the tables already
    write(folder / "feedback-w1-000001.ndjson", told[3:])
    for _ in range(2):  # before and after the rest is ingested
        assert list(read_shadows(folder)) == unseen
        assert list(read_shadows(folder, records[1].timestamp, records[5].timestamp)) == unseen[1:5]
        assert list(read_feedback(folder, records[1].timestamp, records[5].timestamp)) == told[1:5]
        assert list(read_feedback(folder, received=told[2].received_at)) == told[3:]
        assert list(read_feedback(folder, since=records[5].timestamp, received=told[2].received_at)) == told[5:]
        ingester.step()


def test_readers_join_tables_and_segments_and_give_each_once(stores, ingester):
    folder = stores.predictions
    write(folder / "w0-000001.ndjson", [prediction(1), prediction(4)])
    ingester.step()
    write(folder / "w0-000001.ndjson", [prediction(6)], tail=b'{"kind":"predic')
    write(folder / "w1-000001.ndjson", [prediction(4, logged_at=START), prediction(5)])
    write(folder / "feedback-w1-000001.ndjson", [feedback(1)])
    for _ in range(2):  # before and after the rest is ingested
        assert [r.prediction_id for r in read_predictions(folder)] == ["p4", "p1", "p5", "p6"]
        assert find(folder, "p6") == prediction(6)
        assert [r.feedback_id for r in read_feedback(folder)] == ["f1"]
        ingester.step()
    # The record logged first is kept, though it came second.
    assert rows(stores, "SELECT count(*) FROM predictions") == [(4,)]
    assert find(folder, "p4").logged_at == START  # type: ignore[union-attr]


def test_the_torn_end_waits_and_a_line_that_is_no_record_is_counted(stores, ingester):
    path = write(stores.predictions / "w0-000001.ndjson", [prediction(1)], tail=b'{"kind":"predic')
    assert (ingester.step().records, ingester.step().behind_bytes) == (1, 15)
    with path.open("ab") as file:
        file.write(b'tion"}\n')
    write(path, [prediction(2)])
    assert ingester.step().records == 1
    assert rows(stores, "SELECT records, skipped FROM ingested") == [(2, 1)]
    write(path, [], tail=b"torn by a crash")
    write(stores.predictions / "w0-000002.ndjson", [prediction(3)])
    assert ingester.step().behind_bytes == 0  # nothing more comes of a closed segment


def test_a_line_damaged_inside_of_a_text_holds_up_nothing(stores, ingester):
    path = write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
    with path.open("ab") as file:
        file.write(msgspec.json.encode(prediction(2)).replace(b"EUR_USD", b"EUR\xffUSD") + b"\n")
    write(path, [prediction(3)])
    assert ingester.step().records == 2
    assert [r.prediction_id for r in read_predictions(stores.predictions)] == ["p1", "p3"]


def test_a_segment_of_a_name_used_before_is_another(stores, ingester):
    path = write(stores.predictions / "w0-000001.ndjson", [prediction(1), prediction(2)])
    ingester.step()
    path.unlink()
    write(path, [prediction(3)])
    assert ingester.step().records == 1
    assert [r.prediction_id for r in read_predictions(stores.predictions)] == ["p1", "p2", "p3"]


def test_a_record_that_the_database_refuses_is_left_out_alone(stores, ingester):
    bad = prediction(2, latency_us=1.0)
    write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
    line = b'{"kind":"feedback","feedback_id":"big","received_at":"2026-03-02T10:00:00Z","prediction_id":null,'
    line += b'"instrument":"EUR_USD","timestamp":"2026-03-02T10:00:00Z","model":null,'
    line += b'"realized_direction":99999999999999999999999,"realized_value":1.0}\n'
    write(stores.predictions / "feedback-w0-000001.ndjson", [feedback(1)], tail=line)
    write(stores.predictions / "feedback-w0-000001.ndjson", [feedback(2), feedback(3)])
    write(stores.predictions / "w0-000001.ndjson", [bad])
    ingester.step()
    assert [r.feedback_id for r in read_feedback(stores.predictions)] == ["f1", "f2", "f3"]
    assert [r.prediction_id for r in read_predictions(stores.predictions)] == ["p1", "p2"]


def test_two_ingesters_at_once_make_one_row_of_each(stores):
    folder = stores.predictions
    for worker in ("w0", "w1"):
        write(folder / f"{worker}-000001.ndjson", [prediction(i) for i in range(3000)])
    errors: list[BaseException] = []

    def work() -> None:
        with closing(open_database(stores)) as database:
            one = Ingester(folder, database, LogSettings())
            for _ in range(50):
                try:
                    if one.step().records == 0:
                        return
                except DatabaseError as error:  # two upserts of the same rows: one of them tries again
                    errors.append(error)

    open_database(stores).close()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(open_database(stores)) as database:
        Ingester(folder, database, LogSettings()).step()
    assert len(errors) < 50
    assert rows(stores, "SELECT count(*) FROM predictions") == [(3000,)]
    assert rows(stores, "SELECT sum(records) FROM ingested") == [(6000,)]


@pytest.mark.timeout(3600)
def test_every_record_once_whatever_is_killed_when(stores):
    """Workers and ingester are killed again and again while records are written; a last pass finds the rest."""
    chance, folder = random.Random(7), stores.predictions
    settings = stores.home / "config"
    settings.mkdir(parents=True)
    (settings / "serving.yaml").write_text("log: {ingest_every_s: 0.01}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = 0
    turns = count("ingest_kills")
    for turn in range(max(2, turns // 2) if isinstance(stores.state, str) else turns):
        worker = f"w{turn % 2}"
        command = [sys.executable, str(ROOT / "tests/contract/serving/log_records.py"), str(folder), worker, str(first)]
        ingest = [
            sys.executable,
            "-m",
            "fx_serving.ingest.app",
            "--parent",
            str(os.getpid()),
            "--home",
            str(stores.home),
        ]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer,
            subprocess.Popen(ingest, env=environment, stderr=subprocess.DEVNULL) as ingester,
        ):
            assert writer.stdout is not None
            said = writer.stdout.readline()
            before = _ingested(stores)
            wait_until(lambda before=before: _ingested(stores) > before)
            time.sleep(chance.uniform(0, 0.05))
            for process in chance.sample([writer, ingester], 2):
                process.send_signal(signal.SIGKILL)
                time.sleep(chance.uniform(0, 0.02))
            said += writer.stdout.read()
        durable = int(said.split("\n")[-2])
        logged = {r.prediction_id for r in read_predictions(folder)}
        assert {f"{worker}-{n}" for n in range(first, durable + 1)} <= logged
        first = durable + 1000
    with closing(open_database(stores)) as database:
        final = Ingester(folder, database, LogSettings())
        while final.step().more:
            pass
        last = final.step()
        assert (last.records, last.behind_bytes) == (0, _torn(folder))
    in_segments = {kind: [] for kind in ("prediction", "shadow")}
    for path in folder.glob("*.ndjson"):
        for line, _ in lines_from(path, 0):
            record = decode(line, kind_of(path))
            assert record is not None
            in_segments[kind_of(path)].append(record.prediction_id)  # type: ignore[union-attr]
    for kind, table, id in (("prediction", "predictions", "id"), ("shadow", "shadows", "prediction_id")):
        assert sorted(i for (i,) in rows(stores, f"SELECT {id} FROM {table}")) == sorted(in_segments[kind])
    assert rows(stores, "SELECT sum(records), sum(skipped) FROM ingested") == [
        (sum(len(ids) for ids in in_segments.values()), 0)
    ]


def _ingested(stores: Stores) -> int:
    try:
        return int(rows(stores, "SELECT count(*) FROM predictions")[0][0])
    except (IndexError, PredictionLogError):
        return 0


def _torn(folder: Path) -> int:
    """Bytes behind the last whole line of the newest segments."""
    newest = [paths[-1] for kind in ("prediction", "shadow") for paths in segments(folder, kind).values()]
    return sum(len(path.read_bytes().rpartition(b"\n")[2]) for path in newest)


def test_a_database_that_is_away_only_delays(stores, ingester, request):
    write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
    ingester.step()
    write(stores.predictions / "w0-000001.ndjson", [prediction(2)])
    if isinstance(stores.state, str):
        server = request.getfixturevalue("server")
        server.stop(signal.SIGQUIT)
        try:
            for _ in range(2):
                with pytest.raises(DatabaseError, match="FX_STATE_URL: ") as caught:
                    ingester.step()
                assert PASSWORD not in str(caught.value)
            with pytest.raises(PredictionLogError, match="predictions cannot be read: FX_STATE_URL: "):
                list(read_predictions(stores.predictions))
        finally:
            server.start()
    else:
        with closing(sqlite3.connect(stores.predictions_db, isolation_level=None)) as other:
            ingester.database._db.execute("PRAGMA busy_timeout = 10")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(DatabaseError, match="locked"):
                ingester.step()
    assert ingester.step().records == 1
    assert [r.prediction_id for r in read_predictions(stores.predictions)] == ["p1", "p2"]


def test_a_full_disk_only_delays(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    with closing(SqliteDatabase(stores.predictions_db)) as database:
        ingester = Ingester(stores.predictions, database, LogSettings())
        write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
        ingester.step()
        assert database._db is not None
        database._db.execute("PRAGMA max_page_count = 1")  # no page more than there are
        write(stores.predictions / "w0-000001.ndjson", [prediction(i) for i in range(2, 1500)])
        with pytest.raises(DatabaseError, match=r"predictions\.db: database or disk is full"):
            ingester.step()
        assert ingester.step().records == 1498, "a new connection, on a disk with room"


def test_the_process_says_why_it_waits_and_goes_on_by_itself(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores, stop = Stores(tmp_path), threading.Event()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "serving.yaml").write_text("log: {ingest_every_s: 0.01}\n")
    write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
    stores.predictions_db.mkdir()  # in the way

    def told() -> dict[str, Any]:
        path = stores.serving / "ingest.json"
        return msgspec.json.decode(path.read_bytes()) if path.exists() else {}

    working = threading.Thread(target=app.run, args=(stores, stop))
    working.start()
    try:
        assert "unable to open database file" in wait_until(lambda: told().get("problem"))
        stores.predictions_db.rmdir()
        wait_until(lambda: told()["problem"] is None and told()["behind_bytes"] == 0)
        assert find(stores.predictions, "p1") == prediction(1)
    finally:
        stop.set()
        working.join()


def test_outcomes_are_one_for_each_bar_and_count_for_both_versions(stores, ingester):
    """Blue answers ten times within a bar, the candidate scores along; feedback speaks of one of the answers."""
    answered = [prediction(i) for i in range(10)]
    later = [prediction(70), prediction(80, version="2", slot="green", prediction=0.75)]
    what_if = prediction(130, overridden=["a"])
    folder = stores.predictions
    write(folder / "w0-000001.ndjson", [*answered, *later, what_if])
    write(folder / "shadow-w0-000001.ndjson", [shadow(r) for r in answered])
    told = [
        feedback(1, answered[7], realized_direction=-1),
        feedback(2, answered[3], realized_direction=1),  # received later: this one counts
        feedback(3, timestamp=later[1].timestamp, realized_direction=0, realized_value=None),
        feedback(4, timestamp=START + timedelta(hours=5)),  # of nothing
        feedback(5, what_if),
        feedback(6, model="other", timestamp=answered[0].timestamp, realized_direction=-1),
    ]
    write(folder / "feedback-w0-000001.ndjson", told)
    ingester.step()
    begin, end = START - timedelta(days=1), START + timedelta(days=1)

    def asked(version: str, slot: str, since=begin, until=end) -> list[tuple]:
        found = query.outcomes(stores, "m", version, slot, since, until)  # type: ignore[arg-type]
        return [((o.timestamp - START).total_seconds(), o.prediction, o.direction, o.value) for o in found]

    assert asked("1", "control") == asked("1", "blue") == [(0, 0.25, 1, 0.5), (60, 0.25, 0, None)]
    assert asked("2", "shadow") == [(0, 0.75, 1, 0.5)]
    assert asked("2", "green") == [(60, 0.75, 0, None)]
    assert asked("1", "green") == []
    assert asked("1", "blue", since=START + timedelta(seconds=11)) == [(60, 0.25, 0, None)]
    assert asked("1", "blue", until=START + timedelta(seconds=11)) == [(0, 0.25, 1, 0.5)]
    # An outcome told only after its prediction was ingested long ago.
    write(folder / "w0-000001.ndjson", [prediction(300)])
    ingester.step()
    write(folder / "feedback-w0-000001.ndjson", [feedback(7, prediction(300), realized_direction=1)])
    ingester.step()
    assert asked("1", "blue")[-1] == (300, 0.25, 1, 0.5)


def test_feedback_that_comes_before_its_prediction_is_tied_later(stores, ingester):
    write(stores.predictions / "feedback-w0-000001.ndjson", [feedback(1, prediction(1))])
    ingester.clock = lambda: (START + timedelta(hours=1)).timestamp()
    ingester.step()
    write(stores.predictions / "w0-000001.ndjson", [prediction(1)])
    ingester.step()
    span = (START - timedelta(days=1), START + timedelta(days=1))
    assert [o.direction for o in query.outcomes(stores, "m", "1", "blue", *span)] == [1]
    assert rows(stores, "SELECT count(*) FROM feedback WHERE open = 1") == [(0,)]


def test_the_newest_keys(stores, ingester):
    assert query.recent_keys(stores, 3) == []
    write(stores.predictions / "w0-000001.ndjson", [prediction(i) for i in range(20)] + [prediction(21, key=None)])
    ingester.step()
    assert query.recent_keys(stores, 3) == ["k5", "k4", "k3"]
    assert set(query.recent_keys(stores, 100)) == {f"k{i}" for i in range(7)}

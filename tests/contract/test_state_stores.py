"""What every state store must do, over SQLite and PostgreSQL: commits whole or not at all, a chained trail, fencing."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fx_serving.client import rollout_log
from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from fx_serving.state import (
    CONTROLLER,
    AuditEntry,
    Change,
    Conflict,
    Deployed,
    NotLeader,
    RolloutRow,
    StateError,
    StateStore,
    TokenRow,
    open_state,
    read_head,
)
from fx_serving.state.sqlite import SqliteState
from tests.counts import count
from tests.servers.postgres import PASSWORD, PostgresServer, restartable_postgres

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WRITER = Path(__file__).with_name("state_writer.py")


@pytest.fixture(scope="module")
def server(program) -> Iterator[PostgresServer]:
    """A PostgreSQL of this file's own."""
    with restartable_postgres(program) as server:
        yield server


@pytest.fixture
def postgres(server: PostgresServer, tmp_path: Path, monkeypatch) -> Stores:
    """A home whose state is in an empty PostgreSQL."""
    with closing(connect(server.url)) as db, db.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS fx_serving CASCADE")
    monkeypatch.setenv("FX_STATE_URL", server.url)
    return Stores(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Stores:
    """A home whose state is empty: each kind of database in turn."""
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    return request.getfixturevalue("postgres") if request.param == "postgres" else Stores(tmp_path)


@pytest.fixture
def store(stores: Stores) -> Iterator[StateStore]:
    """The open store."""
    with closing(open_state(stores)) as store:
        yield store


def row(id: str, state: str = "canary", model: str = "m", **more: Any) -> RolloutRow:
    """A rollout's row."""
    known = {"version": "2", "request_id": None, "created_at": AT, "finished_at": None, "body": f'{{"id":"{id}"}}'}
    return RolloutRow(id=id, model=model, state=state, **(known | more))


def entry(what: str = "started", **more: Any) -> AuditEntry:
    """An audit entry."""
    known = {"actor": "ann", "model": "m", "rollout_id": "r1", "why": "because", "state": "canary", "weight": 5}
    return AuditEntry(at=AT, what=what, **(known | more))


def tamper(stores: Stores, *statements: str) -> None:
    """Change the database behind the store's back."""
    where = stores.state
    with closing(connect(where) if isinstance(where, str) else sqlite3.connect(where, isolation_level=None)) as db:
        cursor = db.cursor()
        for statement in statements:
            cursor.execute(statement)


def test_what_is_committed_is_read_back(store, stores):
    assert (store.generation(), store.deployed(), store.rollouts(), store.audit()) == (0, {}, [], [])
    blue = Deployed(version="2", rollout_id="r1", at=AT, previous="1", previous_until=AT + timedelta(days=1))
    token = TokenRow(id="t", name="ops", role="operate", hash="0" * 64, created_at=AT, rate_per_s=2.5)
    asked = row("r1", request_id="q1", body='{"text": "é\\u0000 50 % ?"}')
    generation = store.commit(
        Change(
            rollouts=(asked, row("r2", "succeeded", finished_at=AT)),
            deploy={"m": blue},
            tokens=(token,),
            audit=(entry(detail={"z": 1, "a": [0.1, float("nan")]}), entry("stepped", weight=12.5)),
        ),
        None,
    )
    assert generation == store.generation() == 1
    assert store.deployed() == {"m": blue}
    assert store.tokens() == [token]
    assert store.rollout("r1") == store.by_request("q1") == asked
    assert store.rollout("nobody") is None
    assert store.by_request("nobody") is None
    assert [r.id for r in store.rollouts(active=True)] == ["r1"]
    assert {r.id for r in store.rollouts()} == {"r1", "r2"}
    assert store.rollouts(model="other") == []
    first, second = store.audit()
    assert (first.seq, first.actor, first.detail) == (1, "ann", {"a": [0.1, None], "z": 1})
    assert (second.seq, second.previous, second.weight) == (2, first.hash, 12.5)
    assert store.verify_audit(read_head(stores.audit_head)).whole
    view = store.view()
    assert (view.generation, view.term, view.deployed, [r.id for r in view.active]) == (1, 0, {"m": blue}, ["r1"])

    revoked = TokenRow(id="t", name="ops", role="operate", hash="0" * 64, created_at=AT, revoked_at=AT)
    assert store.commit(Change(deploy={"m": None}, tokens=(revoked,)), None) == 2
    assert store.deployed() == {}
    assert store.tokens() == [revoked]
    assert store.commit(Change(), None) == 3


def test_text_that_a_database_would_refuse(store):
    store.commit(Change(audit=(entry("nul \x00 and \ud800 surrogate", why="' OR 1=1; --"),)), None)
    assert store.audit()[0].what == "nul  and ? surrogate"
    assert store.verify_audit(None).whole


def test_pages_of_the_trail(store):
    entries = tuple(entry(f"e{i}", model="m" if i % 2 else "n") for i in range(1, 11))
    store.commit(Change(audit=entries), None)
    assert [r.seq for r in store.audit(after=3, limit=4)] == [4, 5, 6, 7]
    assert [r.seq for r in store.audit(limit=3, newest_first=True)] == [10, 9, 8]
    assert [r.seq for r in store.audit(after=2, model="n")] == [4, 6, 8, 10]


def test_the_readers_of_other_packages(store, stores):
    blue = Deployed(version="2", rollout_id="r1", at=AT)
    body = '{"id":"r1","steps":[]}'
    store.commit(Change(rollouts=(row("r1", body=body),), deploy={"m": blue}, audit=(entry(),)), None)
    assert rollout_log.deployed(stores.state) == {"m": "2"}
    assert rollout_log.rollout(stores.state, "r1") == {"id": "r1", "steps": []}
    assert rollout_log.rollout(stores.state, "r2") is None
    assert [r["id"] for r in rollout_log.rollouts_of(stores.state, "m", "2")] == ["r1"]
    assert rollout_log.broken_audit(stores.state) is None


def test_a_second_running_rollout_or_request_is_a_conflict_and_leaves_nothing(store):
    store.commit(Change(rollouts=(row("r1", request_id="q"), row("r2", "queued"), row("o", model="other"))), None)
    with pytest.raises(Conflict, match="another rollout of it is running") as running:
        store.commit(Change(rollouts=(row("r3", "verifying"),), audit=(entry(),)), None)
    with pytest.raises(Conflict, match="request_id: belongs to another") as request:
        store.commit(Change(rollouts=(row("r4", "queued", request_id="q"),), audit=(entry(),)), None)
    assert (running.value.kind, request.value.kind) == ("running", "request")
    assert {r.id for r in store.rollouts()} == {"r1", "r2", "o"}
    assert store.audit() == []
    assert store.generation() == 1


def test_one_commit_ends_a_rollout_and_starts_the_next_in_any_order(store):
    store.commit(Change(rollouts=(row("r1"), row("r2", "queued"))), None)
    store.commit(Change(rollouts=(row("r2", "verifying"), row("r1", "superseded", finished_at=AT))), None)
    assert [(r.id, r.state) for r in store.rollouts(active=True)] == [("r2", "verifying")]


def test_a_lease_and_its_fencing(store, stores):
    with pytest.raises(NotLeader, match="nobody leads"):
        store.commit(Change(), 1)
    mine = store.lease(CONTROLLER, "a", 60)
    assert (mine.term, mine.held, mine.holder) == (1, True, "a")
    assert store.lease(CONTROLLER, "a", 60).term == 1
    with closing(open_state(stores)) as other:
        refused = other.lease(CONTROLLER, "b", 60)
        assert (refused.term, refused.held, refused.holder) == (1, False, "a")
        assert 50 < refused.remaining_s <= 60
        assert store.commit(Change(audit=(entry(),)), mine.term) == 1

        other.release(CONTROLLER, "b")  # not b's: nothing happens
        assert store.lease(CONTROLLER, "a", 60).term == 1
        store.release(CONTROLLER, "a")
        with pytest.raises(NotLeader):
            store.commit(Change(), mine.term)
        theirs = other.lease(CONTROLLER, "b", 60)
        assert (theirs.term, theirs.held) == (2, True)
        with pytest.raises(NotLeader, match="term 1 is over: b leads with term 2; nothing was written"):
            store.commit(Change(rollouts=(row("r9"),), audit=(entry(),)), mine.term)
        assert store.rollout("r9") is None
        assert len(other.audit()) == 1
        assert other.commit(Change(), theirs.term) == 2
        assert store.view().term == 2
    assert store.lease("something else", "c", 60).term == 1


def test_a_lease_that_ran_out_is_kept_until_another_takes_it(store, stores):
    mine = store.lease(CONTROLLER, "a", 0)
    assert store.commit(Change(), mine.term) == 1  # fenced by the term, not by the clock
    assert store.lease(CONTROLLER, "a", 0).term == mine.term
    with closing(open_state(stores)) as other:
        assert other.lease(CONTROLLER, "b", 60).held
    with pytest.raises(NotLeader):
        store.commit(Change(), mine.term)


def test_many_take_a_lease_and_one_gets_it(stores):
    open_state(stores).close()
    got, barrier = [], threading.Barrier(6)

    def take(name: str) -> None:
        with closing(open_state(stores)) as own:
            barrier.wait()
            got.append(own.lease(CONTROLLER, name, 60))

    threads = [threading.Thread(target=take, args=(f"c{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.term for lease in got] == [1] * 6
    assert sum(lease.held for lease in got) == 1
    assert len({lease.holder for lease in got}) == 1


def test_writers_of_several_threads_and_connections_make_one_chain(stores):
    barrier = threading.Barrier(4)
    shared = open_state(stores)

    def write(store: StateStore) -> None:
        barrier.wait()
        for number in range(10):
            store.commit(Change(audit=(entry(f"{number}"),)), None)

    own = [open_state(stores) for _ in range(2)]
    threads = [threading.Thread(target=write, args=(store,)) for store in (shared, shared, *own)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = shared.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.records, shared.generation()) == (True, 40, 40)
    for store in (shared, *own):
        store.close()


@pytest.mark.parametrize(
    ("change", "seq", "why"),
    [
        (["UPDATE audit SET why = 'x' WHERE seq = 3"], 3, "record 3 was changed"),
        (["UPDATE audit SET actor = 'x' WHERE seq = 3"], 3, "record 3 was changed"),
        (["UPDATE audit SET detail = '{}' WHERE seq = 4"], 4, "record 4 was changed"),
        (["UPDATE audit SET form = 1 WHERE seq = 2"], 2, "record 2 was changed"),
        (["DELETE FROM audit WHERE seq = 2"], 2, "record 2 is missing: record 3 follows record 1"),
        (["DELETE FROM audit WHERE seq = 1"], 1, "record 1 is missing"),
        (
            ["DELETE FROM audit WHERE seq > 4"],
            5,
            "record 5 is missing: the trail ends before it, but record 6",
        ),
        (["DELETE FROM audit"], 1, "record 1 is missing: the trail ends before it, but record 6"),
        (
            [
                "DELETE FROM audit WHERE seq = 2",
                *(f"UPDATE audit SET seq = {i - 1} WHERE seq = {i}" for i in range(3, 7)),
            ],
            2,
            "record 2 was changed",
        ),
        (
            [
                "UPDATE audit SET seq = 100 WHERE seq = 2",
                "UPDATE audit SET seq = 2 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 100",
            ],
            2,
            "record 2 was changed",
        ),
        (
            [
                *(f"UPDATE audit SET seq = {i + 1} WHERE seq = {i}" for i in range(6, 3, -1)),
                "INSERT INTO audit SELECT 4, at, actor, rollout_id, model, what, why, state, weight, detail, form, "
                "previous, hash FROM audit WHERE seq = 3",
            ],
            4,
            "record 4 was changed",
        ),
    ],
    ids=["why", "actor", "detail", "form", "removed", "first", "tail", "all", "renumbered", "swapped", "inserted"],
)
def test_a_trail_that_was_tampered_with_is_found(store, stores, change, seq, why):
    store.commit(Change(audit=tuple(entry(f"e{i}", detail={"i": i}) for i in range(1, 7))), None)
    assert store.verify_audit(read_head(stores.audit_head)).whole
    tamper(stores, *change)
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.seq) == (False, seq)
    assert str(verdict.why).startswith(why)
    assert rollout_log.broken_audit(stores.state, read_head(stores.audit_head)) == seq


def test_a_cut_tail_is_still_found_after_more_was_written(store, stores):
    store.commit(Change(audit=tuple(entry(f"e{i}") for i in range(1, 7))), None)
    tamper(stores, "DELETE FROM audit WHERE seq > 3")
    store.commit(Change(audit=tuple(entry(f"new{i}") for i in range(6))), None)
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.seq) == (False, 6)
    assert "the trail was replaced" in str(verdict.why)


def test_without_a_head_the_verdict_says_so(store, stores):
    store.commit(Change(audit=(entry(),)), None)
    stores.audit_head.unlink()
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.head_checked) == (True, False)
    stores.audit_head.write_text("{")
    assert read_head(stores.audit_head) is None
    store.commit(Change(audit=(entry(),)), None)
    assert read_head(stores.audit_head) == (2, store.audit()[-1].hash)


@pytest.mark.timeout(1800)
def test_a_writer_killed_at_any_moment_leaves_whole_commits(stores):
    """Each commit of state_writer.py sets a rollout, the deployed version and two audit records to one number."""
    chance = random.Random(1)
    open_state(stores).close()
    for _ in range(count("state_kills")):
        command = [sys.executable, str(WRITER), str(stores.home)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged = writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            acknowledged = (acknowledged + writer.stdout.read()).split("\n")[-2]  # the last line that is whole
        with closing(open_state(stores)) as store:
            verdict = store.verify_audit(read_head(stores.audit_head))
            view = store.view()
            reached = int(view.deployed["m"].version)
            assert verdict.whole, verdict
            assert reached >= int(acknowledged)
            assert verdict.records == 2 * reached
            assert view.generation == reached
            assert [r.body for r in store.rollouts(model="m")] == [str(reached)]


def test_a_database_of_a_newer_version_is_left_alone(store, stores):
    tamper(stores, "UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(StateError, match="newer version of the platform"):
        open_state(stores)


def test_a_state_db_of_the_first_form_is_taken_over(tmp_path, monkeypatch):
    """Its records keep their hashes, new ones follow them, and the old index makes way for queued rollouts."""
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    stores.serving.mkdir()
    with closing(sqlite3.connect(stores.state_db, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(Path(__file__).with_name("state_form_1.sql").read_text())
    assert rollout_log.broken_audit(stores.state) is None  # readers need no migration
    with closing(open_state(stores)) as store:
        assert store.generation() == 7
        assert store.deployed()["m"].version == "1"
        assert [(r.id, r.state) for r in store.rollouts(active=True)] == [("r2", "canary")]
        old = store.audit()
        assert [(r.what, r.actor, r.detail) for r in old] == [("succeeded", "", {}), ("started", "", {})]
        store.commit(Change(rollouts=(row("r3", "queued"),), audit=(entry(),)), None)
        assert store.audit()[2].previous == old[1].hash
        assert store.verify_audit(read_head(stores.audit_head)).whole
    tamper(stores, "UPDATE audit SET why = 'x' WHERE seq = 1")
    with closing(open_state(stores)) as store:
        assert store.verify_audit(None).seq == 1


def test_a_full_or_damaged_file_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    with closing(SqliteState(stores.state_db)) as store:
        store.commit(Change(audit=(entry(),)), None)
        assert store._db is not None
        store._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StateError, match=r"state\.db: cannot be used: database or disk is full"):
            store.commit(Change(audit=(entry(why="x" * 100_000),)), None)
        store._db.execute("PRAGMA max_page_count = 100000")
        assert store.commit(Change(audit=(entry(),)), None) == 2
        assert len(store.audit()) == 2
    for extra in ("", "-wal", "-shm"):
        Path(f"{stores.state_db}{extra}").unlink(missing_ok=True)
    stores.state_db.write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match=r"state\.db: cannot be used: .*not a database"):
        open_state(stores)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mysql://u:hunter2-hunter2@h/db", "FX_STATE_URL: is no address of a PostgreSQL"),
        ("postgresql://u:hunter2-hunter2@h:port/db", "FX_STATE_URL: is no address of a PostgreSQL"),
        ("postgresql://u:hunter2-hunter2@127.0.0.1:1/db", "FX_STATE_URL: nobody answers there"),
    ],
)
def test_an_address_that_is_wrong_is_told_without_it(given, words, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_STATE_URL", given)
    with pytest.raises(StateError, match=words) as caught:
        open_state(Stores(tmp_path))
    with pytest.raises(rollout_log.RolloutLogError, match=words) as read:
        rollout_log.deployed(given)
    for text in (str(caught.value), str(read.value)):
        assert "hunter2" not in text
        assert "127.0.0.1" not in text


@pytest.mark.server
def test_a_wrong_password_is_told_without_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_STATE_URL", server.url.replace(PASSWORD, "wrong-secret"))
    with pytest.raises(StateError, match="refuses the account or its password") as caught:
        open_state(Stores(tmp_path))
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.server
def test_a_postgres_that_goes_away_and_comes_back(server, postgres):
    with closing(open_state(postgres)) as store:
        before = store.commit(Change(audit=(entry(),)), None)
        server.stop(signal.SIGQUIT)
        try:
            for _ in range(2):
                with pytest.raises(StateError, match="FX_STATE_URL: ") as caught:
                    store.commit(Change(audit=(entry(),)), None)
                assert PASSWORD not in str(caught.value)
            with pytest.raises(rollout_log.RolloutLogError):
                rollout_log.deployed(postgres.state)
        finally:
            server.start()
        assert store.generation() == before
        assert store.commit(Change(audit=(entry(),)), None) == before + 1
        assert store.verify_audit(read_head(postgres.audit_head)).whole


@pytest.mark.server
def test_a_commit_whose_answer_is_lost_is_asked_for(postgres):
    """The connection breaks right after COMMIT was carried out: the store finds that the change holds."""
    with closing(open_state(postgres)) as store:
        before, records = store.generation(), len(store.audit(limit=10**6))
        real = store._db  # type: ignore[attr-defined]
        store._db = _Breaking(real)  # type: ignore[attr-defined]
        assert store.commit(Change(audit=(entry(),)), None) == before + 1
        assert (store.generation(), len(store.audit(limit=10**6))) == (before + 1, records + 1)
        assert real.closed


class _Breaking:
    """A connection that is lost once its COMMIT has been carried out."""

    def __init__(self, real: Any) -> None:
        self._real = real

    @property
    def closed(self) -> int:
        return self._real.closed

    def close(self) -> None:
        self._real.close()

    def cursor(self) -> Any:
        cursor = self._real.cursor()
        outer = self

        def execute(sql: str, values: tuple = ()) -> None:
            cursor.execute(sql, values)
            if sql == "COMMIT":
                outer._real.close()
                cursor.execute("SELECT 1")  # raises InterfaceError, as a lost connection does

        return _Cursor(cursor, execute)


class _Cursor(SimpleNamespace):
    def __init__(self, real: Any, execute: Any) -> None:
        super().__init__(real=real, execute=execute)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    @property
    def description(self) -> Any:
        return self.real.description

    def fetchall(self) -> Any:
        return self.real.fetchall()

    def fetchone(self) -> Any:
        return self.real.fetchone()

"""What every state store must do, over SQLite and PostgreSQL: commits whole or not at all, a chained trail, fencing."""

from __future__ import annotations

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

import pytest

from fx_serving.client import rollout_log
from fx_serving.client.home import Stores
from fx_serving.state import (
    CONTROLLER,
    Change,
    Conflict,
    Deployed,
    NotLeader,
    StateError,
    StateStore,
    TokenRow,
    open_state,
    read_head,
)
from fx_serving.state.sqlite import SqliteState
from tests.contract.serving.states import AT, entry, row, tamper
from tests.counts import count

WRITER = Path(__file__).with_name("state_writer.py")


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


def test_a_clock_that_is_set_back_does_not_keep_a_dead_holders_lease(tmp_path):
    now = 1e9
    with closing(SqliteState(tmp_path / "state.db", clock=lambda: now)) as store:
        assert store.lease(CONTROLLER, "a", 8).held
        now -= 86_400
        refused = store.lease(CONTROLLER, "b", 8)
        assert (refused.held, refused.remaining_s) == (False, 80)
        assert store.lease(CONTROLLER, "a", 8).term == 1, "one that lives renews it"
        assert store.lease(CONTROLLER, "b", 8).remaining_s == 8
        now -= 86_400
        store.lease(CONTROLLER, "b", 8)
        now += 81
        assert store.lease(CONTROLLER, "b", 8).term == 2


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
    for added in ("actor = 'x'", "detail = '{\"n\":1}'"):
        tamper(stores, f"UPDATE audit SET {added} WHERE seq = 2")
        assert rollout_log.broken_audit(stores.state) == 2
        tamper(stores, "UPDATE audit SET actor = '', detail = '{}' WHERE seq = 2")
        assert rollout_log.broken_audit(stores.state) is None
    tamper(stores, "UPDATE audit SET why = 'x' WHERE seq = 1")
    with closing(open_state(stores)) as store:
        assert store.verify_audit(None).seq == 1

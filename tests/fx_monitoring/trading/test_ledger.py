"""trading.db: one decision a bar, whichever process tries and wherever it is killed."""

import os
import signal
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from fx_assets.errors import StoreError
from fx_monitoring.trading.ledger import Decision, Ledger, Run, open_ledger, reading
from tests.counts import count
from tests.fx_monitoring.trading.world import HOUR, MODEL, MONDAY

BARS = 60


def decided(k: int, position: float = 1.0, hold: int = 1) -> Decision:
    """The decision on the k-th bar; its order is filled an hour later and held for `hold` hours."""
    bar = MONDAY + k * HOUR
    return Decision(
        model=MODEL,
        instrument="GBP_USD",
        bar=bar,
        at=bar + timedelta(seconds=40),
        version="3",
        source="service",
        prediction=0.6,
        threshold=0.5,
        position=position,
        entry_due=bar + HOUR,
        exit_due=bar + (1 + hold) * HOUR,
        bar_minutes=60,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trading.db"


@pytest.fixture
def book(path: Path):
    with open_ledger(path) as opened:
        yield opened


RUN = Run("a", MONDAY, "full", "trading")


def test_a_bar_is_decided_once(book: Ledger, path: Path):
    assert book.act(RUN, decided(0), True, 10) == ("order", "")
    again = Run("b", MONDAY)
    assert book.act(again, decided(0, -1.0), True, 10)[0] == "acted"
    assert book.has_acted(MODEL, "GBP_USD", MONDAY)
    assert [order.position for order in book.alive()] == [1.0]
    with reading(path) as db:
        assert db is not None
        kept = db.execute("SELECT run_id, pool, outcome, latency_s, in_time FROM decisions").fetchall()
    assert kept == [("a", "trading", "order", 40.0, 1)]


def test_the_table_itself_refuses_a_second_order(book: Ledger):
    """Whatever the code does: the key is the database's."""
    book.act(RUN, decided(0), True, 10)
    with pytest.raises(sqlite3.IntegrityError):
        book._db.execute(
            "INSERT INTO orders (model, instrument, bar, run_id, pool, at, day, position, entry_due, exit_due, "
            "bar_minutes, swap_per_day, state) SELECT model, instrument, bar, 'x', pool, at, day, position, entry_due, "
            "exit_due, bar_minutes, swap_per_day, 'pending' FROM orders"
        )


def test_no_side_a_held_position_and_too_many_trades_make_no_order(book: Ledger):
    assert book.act(RUN, decided(0, 0.0), True, 2)[0] == "flat"
    assert book.act(RUN, decided(1, hold=3), True, 2)[0] == "order"  # from 2 h to 5 h
    assert book.act(RUN, decided(3), True, 2) == ("held", "a position is held until 2022-03-01 03:00 UTC")
    assert book.act(RUN, decided(4), True, 2)[0] == "order"  # begins as that ends
    outcome, reason = book.act(RUN, decided(6), True, 2)
    assert (outcome, reason) == ("gate", "2 orders in the FX day 2022-03-01; the limit is 2")
    assert book.act(RUN, decided(24), True, 2)[0] == "order", "17:00 New York begins a new day"


def test_a_refusal_keeps_its_reason_and_leaves_the_bar_free(book: Ledger, path: Path):
    at = MONDAY + timedelta(minutes=2)
    book.begin(RUN)
    book.refuse(RUN, MODEL, "GBP_USD", MONDAY, at, "stale")
    book.refuse(RUN, MODEL, "GBP_USD", MONDAY, at, "stale still")  # a retry of the same run
    assert book.act(RUN, decided(0), True, 10)[0] == "order"
    book.finish(RUN, at)
    later = Run("b", MONDAY + timedelta(days=40))
    book.begin(later, timedelta(days=30))
    with reading(path) as db:
        assert db is not None
        assert db.execute("SELECT count(*) FROM refusals").fetchone()[0] == 0
        runs = db.execute("SELECT id, finished IS NOT NULL FROM runs ORDER BY began").fetchall()
    assert runs == [("a", 1), ("b", 0)]


def test_a_file_that_is_no_database_is_told(path: Path):
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match=r"trading\.db: file is not a database.*verified copy"), open_ledger(path):
        pass
    with pytest.raises(StoreError), reading(path):
        pass
    with reading(path.with_name("none.db")) as nothing:
        assert nothing is None


def child(path: Path, run: str, fatal: int = 0, gate: int | None = None) -> tuple[int, int]:
    """A process that acts on BARS bars; (its id, a pipe on which it tells how many orders it gave).

    fatal: number of the SQL statement before which it kills itself, 0 for none. gate: a pipe that it waits at.
    """
    told, tell = os.pipe()
    if pid := os.fork():
        os.close(tell)
        return pid, told
    try:
        seen = 0

        def count_down(statement: str) -> None:
            nonlocal seen
            seen += 1
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        with open_ledger(path) as book:
            book._db.set_trace_callback(count_down)
            if gate is not None:
                os.write(tell, b"ready ")
                os.read(gate, 1)
            orders = sum(book.act(Run(run, MONDAY), decided(k), True, 1000)[0] == "order" for k in range(BARS))
            os.write(tell, str(orders).encode())
    finally:
        os._exit(0)


def end(pid: int, told: int) -> tuple[int, bytes]:
    """(the signal that ended a child, what it told)."""
    with os.fdopen(told, "rb") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def rows(path: Path) -> tuple[int, int, int]:
    """(decisions, orders, orders without their decision or the other way round)."""
    with reading(path) as db:
        assert db is not None
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        decisions, orders = (db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("decisions", "orders"))
        odd = db.execute(
            "SELECT count(*) FROM decisions d LEFT JOIN orders o USING (model, instrument, bar) "
            "WHERE (o.id IS NULL) != (d.outcome != 'order')"
        ).fetchone()[0]
    return decisions, orders, odd


def test_two_processes_that_race_decide_each_bar_once(path: Path):
    gate, open_gate = os.pipe()
    racing = [child(path, name, gate=gate) for name in ("a", "b")]
    for _, told in racing:
        assert os.read(told, 6) == b"ready "
    os.write(open_gate, b"go")
    ended = [end(*one) for one in racing]
    assert [code for code, _ in ended] == [0, 0]
    assert sum(int(said) for _, said in ended) == BARS, "each order was given by one of them"
    assert rows(path) == (BARS, BARS, 0)
    for descriptor in (gate, open_gate):
        os.close(descriptor)


def test_killed_before_any_statement_the_next_run_goes_on_and_repeats_nothing(path: Path):
    """kill -9 before the k-th SQL statement, in the middle of a transaction for most k."""
    with open_ledger(path):
        pass
    last = (0, 0, 0)
    for k in range(count("trading_kills")):
        code, _ = end(*child(path, f"run-{k}", 1 + k % 40))
        assert code == -signal.SIGKILL
        now = rows(path)
        assert now[0] >= last[0], "what was decided stays"
        assert now[0] == now[1]
        assert now[2] == 0, "no order without its decision, and no decision without its order"
        last = now
    code, said = end(*child(path, "last"))
    assert (code, int(said)) == (0, BARS - last[1])
    assert rows(path) == (BARS, BARS, 0)

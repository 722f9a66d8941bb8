"""kill -9 anywhere in a run, fills included: the ledger ends as if no run had ever been killed."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np

from fx_monitoring.trading.forecasts import Batch
from fx_monitoring.trading.ledger import Run, open_ledger, reading
from fx_monitoring.trading.trader import Trader
from tests.counts import count
from tests.fx_monitoring.trading.world import BOOKS, HOUR, MONDAY, World

MOMENTS = [MONDAY + k * HOUR + timedelta(minutes=2) for k in range(2, 9)]
TABLES = {
    "decisions": "model, instrument, bar, at, prediction, position, latency_s, outcome, reason",
    "orders": "model, instrument, bar, at, position, entry_due, exit_due, state",
    "fills f JOIN orders o ON o.id = f.order_id": "o.instrument, o.bar, leg, quote_time, price, units, cost, follows",
}


def content(path: Path) -> list[tuple]:
    """Everything but run ids and row numbers."""
    with reading(path) as db:
        assert db is not None
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return [
            row for table, columns in TABLES.items() for row in sorted(db.execute(f"SELECT {columns} FROM {table}"))
        ]


def trade(world: World, path: Path, first: int, fatal: int) -> int:
    """Run the moments from `first` on in a process that dies before its `fatal`-th SQL statement (0: never); the first
    moment that it did not finish.
    """
    told, tell = os.pipe()
    if pid := os.fork():
        os.close(tell)
        with os.fdopen(told, "rb") as pipe:
            done = len(pipe.read())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == (-signal.SIGKILL if fatal and first + done < len(MOMENTS) else 0)
        return first + done
    try:
        seen = 0

        def count_down(statement: str) -> None:
            nonlocal seen
            seen += 1
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        with open_ledger(path) as ledger:
            ledger._db.set_trace_callback(count_down)
            for k, now in enumerate(MOMENTS[first:], first):
                trader = Trader(world.configuration, BOOKS, world.lake, Batch(world.lake, now), now)
                trader.run(ledger, Run(f"run-{k}-{fatal}", now, "core", "trading"))
                os.write(tell, b".")
    finally:
        os._exit(0)


def test_a_killed_run_is_finished_by_the_next_one(world: World):
    candles = world.candles(10)
    world.predict(candles, np.random.default_rng(5).uniform(0.4, 0.7, len(candles)))
    calm, hard = world.home / "calm.db", world.home / "hard.db"
    assert trade(world, calm, 0, 0) == len(MOMENTS)
    at, kills = 0, count("trading_kills")
    for k in range(kills):
        # Each moment is killed in several places before it is let through.
        at = trade(world, hard, at, 3 + 5 * k % 60)
        at = min(at, len(MOMENTS) - 1)
    assert trade(world, hard, at, 0) == len(MOMENTS)
    assert content(hard) == content(calm)
    assert any("exit" in row for row in content(calm))

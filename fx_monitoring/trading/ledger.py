"""trading.db: what paper trading decided, ordered, was filled at, and refused. The only module that knows its tables.

One transaction takes a bar: its decision and, if any, its order. The key (model, instrument, bar) makes a second
decision on the same bar impossible, whichever process tries and wherever the first one was killed. Times are
microseconds since 1970, UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from fx_assets.errors import StoreError
from fx_assets.evaluation.calendar import trading_day

Leg = Literal["entry", "exit"]
Outcome = Literal["order", "flat", "held", "gate", "acted"]

_BUSY_S = 30.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, began INTEGER NOT NULL, finished INTEGER, mode TEXT NOT NULL, pool TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS decisions (
    model TEXT, instrument TEXT, bar INTEGER, run_id TEXT NOT NULL, pool TEXT NOT NULL, at INTEGER NOT NULL,
    version TEXT NOT NULL, source TEXT NOT NULL, prediction_id TEXT, prediction REAL NOT NULL, threshold REAL NOT NULL,
    side REAL, position REAL NOT NULL, latency_s REAL NOT NULL, in_time INTEGER NOT NULL, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (model, instrument, bar));
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, instrument TEXT NOT NULL, bar INTEGER NOT NULL, run_id TEXT NOT NULL,
    pool TEXT NOT NULL, at INTEGER NOT NULL, day TEXT NOT NULL, position REAL NOT NULL, entry_due INTEGER NOT NULL,
    exit_due INTEGER NOT NULL, bar_minutes INTEGER NOT NULL, swap_per_day REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'open', 'closed', 'expired')), reason TEXT NOT NULL DEFAULT '',
    UNIQUE (model, instrument, bar),
    FOREIGN KEY (model, instrument, bar) REFERENCES decisions (model, instrument, bar));
CREATE INDEX IF NOT EXISTS orders_alive ON orders (state, model, instrument);
CREATE TABLE IF NOT EXISTS fills (
    order_id INTEGER REFERENCES orders (id), leg TEXT CHECK (leg IN ('entry', 'exit')), run_id TEXT NOT NULL,
    pool TEXT NOT NULL, at INTEGER NOT NULL, quote_time INTEGER NOT NULL, mid REAL NOT NULL, price REAL NOT NULL,
    half_spread REAL NOT NULL, quote TEXT NOT NULL, units REAL NOT NULL, cost REAL NOT NULL, swap REAL NOT NULL,
    follows INTEGER NOT NULL, PRIMARY KEY (order_id, leg));
CREATE TABLE IF NOT EXISTS refusals (
    run_id TEXT, model TEXT, instrument TEXT, pool TEXT NOT NULL, at INTEGER NOT NULL, bar INTEGER,
    reason TEXT NOT NULL, PRIMARY KEY (run_id, model, instrument));
"""
_ORDER = "id, model, instrument, position, entry_due, exit_due, state, swap_per_day"


def micros(moment: datetime) -> int:
    """A time as the tables hold it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(count: int) -> datetime:
    """`micros` back."""
    return _EPOCH + timedelta(microseconds=count)


@dataclass(frozen=True)
class Run:
    """Who writes: Dagster's run id, the pool it holds, and when it began (data clock)."""

    id: str
    began: datetime
    mode: str = "full"
    pool: str = "none"


@dataclass(frozen=True)
class Decision:
    """What the rule says of one bar. bar: its close. position: -1 to 1. entry_due, exit_due: the closes at which an
    order of it is filled and closed. at: when it was made (data clock).
    """

    model: str
    instrument: str
    bar: datetime
    at: datetime
    version: str
    source: str
    prediction: float
    threshold: float
    position: float
    entry_due: datetime
    exit_due: datetime
    bar_minutes: int
    side: float | None = None
    prediction_id: str | None = None
    swap_per_day: float = 0.0

    @property
    def latency_s(self) -> float:
        return (self.at - self.bar).total_seconds()


@dataclass(frozen=True)
class Order:
    """An order that is not finished. state: pending or open."""

    id: int
    model: str
    instrument: str
    position: float
    entry_due: datetime
    exit_due: datetime
    state: str
    swap_per_day: float


@dataclass(frozen=True)
class Fill:
    """One leg's execution. units: of the position, bought or sold; 0 where it only goes on. cost, swap: shares of the
    instrument's capital. quote: recorded (bid and ask were), or typical.
    """

    order: Order
    leg: Leg
    quote_time: datetime
    mid: float
    price: float
    half_spread: float
    quote: str
    units: float
    cost: float
    swap: float = 0.0
    follows: bool = False


class Ledger:
    """An open trading.db. Several processes may have it open; each method is one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def begin(self, run: Run, keep_refusals: timedelta | None = None) -> None:
        """Note that a run has begun (a retry of it keeps its row), and forget refusals that are older than that."""
        with self._writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO runs (id, began, mode, pool) VALUES (?, ?, ?, ?)",
                (run.id, micros(run.began), run.mode, run.pool),
            )
            if keep_refusals is not None:
                db.execute("DELETE FROM refusals WHERE at < ?", (micros(run.began - keep_refusals),))

    def finish(self, run: Run, at: datetime) -> None:
        """Note that a run came to its end. A row without an end is a run that was killed."""
        with self._writing() as db:
            db.execute("UPDATE runs SET finished = ? WHERE id = ?", (micros(at), run.id))

    def has_acted(self, model: str, instrument: str, bar: datetime) -> bool:
        """Whether a decision on this bar is there: a quick look; `act` decides."""
        sql = "SELECT 1 FROM decisions WHERE model = ? AND instrument = ? AND bar = ?"
        return self._db.execute(sql, (model, instrument, micros(bar))).fetchone() is not None

    def act(self, run: Run, decision: Decision, in_time: bool, most: int) -> tuple[Outcome, str]:
        """Record a decision, and its order unless there is a reason against one; what was done, and that reason.

        most: orders of this model and instrument in an FX day. A bar that has its decision keeps it ("acted").
        """
        day = str(trading_day(np.array([np.datetime64(decision.bar.replace(tzinfo=None), "us")]))[0])
        with self._writing() as db:
            if self.has_acted(decision.model, decision.instrument, decision.bar):
                return "acted", "a decision on this bar was recorded before"
            outcome, reason = self._against(decision, day, most)
            db.execute(
                "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(decision.model, decision.instrument, micros(decision.bar), run.id, run.pool, micros(decision.at)),
                    *(decision.version, decision.source, decision.prediction_id, decision.prediction),
                    *(decision.threshold, decision.side, decision.position, decision.latency_s, int(in_time)),
                    *(outcome, reason),
                ),
            )
            # The same run may have looked before, and found nothing yet.
            db.execute(
                "DELETE FROM refusals WHERE run_id = ? AND model = ? AND instrument = ?",
                (run.id, decision.model, decision.instrument),
            )
            if outcome == "order":
                db.execute(
                    "INSERT INTO orders (model, instrument, bar, run_id, pool, at, day, position, entry_due, exit_due, "
                    "bar_minutes, swap_per_day, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
                    (
                        *(decision.model, decision.instrument, micros(decision.bar), run.id, run.pool),
                        *(micros(decision.at), day, decision.position, micros(decision.entry_due)),
                        *(micros(decision.exit_due), decision.bar_minutes, decision.swap_per_day),
                    ),
                )
        return outcome, reason

    def _against(self, decision: Decision, day: str, most: int) -> tuple[Outcome, str]:
        """Why there is no order; ("order", "") where nothing is against one."""
        if decision.position == 0.0:
            return "flat", "the rule takes no side"
        book = (decision.model, decision.instrument)
        held = self._db.execute(
            "SELECT max(exit_due) FROM orders WHERE model = ? AND instrument = ? AND state IN ('pending', 'open')", book
        ).fetchone()[0]
        if held is not None and held > micros(decision.entry_due):
            return "held", f"a position is held until {moment(held):%Y-%m-%d %H:%M} UTC"
        made = self._db.execute(
            "SELECT count(*) FROM orders WHERE model = ? AND instrument = ? AND day = ? AND state != 'expired'",
            (*book, day),
        ).fetchone()[0]
        if made >= most:
            return "gate", f"{made} orders in the FX day {day}; the limit is {most}"
        return "order", ""

    def refuse(self, run: Run, model: str, instrument: str, bar: datetime | None, at: datetime, reason: str) -> None:
        """Record why a run did not act. The bar stays free: a later run may."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run.id, model, instrument, run.pool, micros(at), None if bar is None else micros(bar), reason),
            )

    def alive(self) -> list[Order]:
        """Orders that wait for a fill, the earliest entry first."""
        sql = f"SELECT {_ORDER} FROM orders WHERE state IN ('pending', 'open') ORDER BY entry_due, id"
        return [_order(row) for row in self._db.execute(sql)]

    def neighbour(self, order: Order, leg: Leg) -> Order | None:
        """The order of the same book that ends where this one begins (entry), or begins where it ends (exit), and was
        or is held; None without one.
        """
        mine, theirs = (order.entry_due, "exit_due") if leg == "entry" else (order.exit_due, "entry_due")
        sql = (
            f"SELECT {_ORDER} FROM orders WHERE model = ? AND instrument = ? AND {theirs} = ? "
            "AND state IN ('open', 'closed')"
        )
        row = self._db.execute(sql, (order.model, order.instrument, micros(mine))).fetchone()
        return None if row is None else _order(row)

    def fill(self, run: Run, fill: Fill, at: datetime) -> bool:
        """Record an execution and move its order on; False where another run did so already."""
        before, after = ("pending", "open") if fill.leg == "entry" else ("open", "closed")
        with self._writing() as db:
            moved = db.execute(
                "UPDATE orders SET state = ? WHERE id = ? AND state = ?", (after, fill.order.id, before)
            ).rowcount
            if moved:
                db.execute(
                    "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(fill.order.id, fill.leg, run.id, run.pool, micros(at), micros(fill.quote_time), fill.mid),
                        *(fill.price, fill.half_spread, fill.quote, fill.units, fill.cost, fill.swap),
                        int(fill.follows),
                    ),
                )
        return bool(moved)

    def expire(self, order: Order, reason: str) -> None:
        """End an order that was not filled."""
        with self._writing() as db:
            db.execute(
                "UPDATE orders SET state = 'expired', reason = ? WHERE id = ? AND state = 'pending'", (reason, order.id)
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, begun as a writer: two runs follow each other, neither reads what the other is changing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _order(row: tuple) -> Order:
    id, model, instrument, position, entry_due, exit_due, state, swap = row
    return Order(id, model, instrument, position, moment(entry_due), moment(exit_due), state, swap)


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """trading.db, made where it is missing. Raises StoreError for a file that SQLite refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection:
            # SQLite waits for nobody while it changes the journal mode: the first two users of a new file collide.
            with FileLock(f"{path}.lock"):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            yield Ledger(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}. {_REMEDY}") from error


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """trading.db at one moment, read-only; None where nothing was ever traded. Raises StoreError."""
    if not path.is_file():
        yield None
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            connection.execute("BEGIN")
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'fills'").fetchone()
            yield connection if known else None
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}. {_REMEDY}") from error


_REMEDY = "If it is damaged, restore a verified copy or move it away: paper trading begins a new one."

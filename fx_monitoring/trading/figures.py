"""What paper trading earned: the ledger's fills, through the backtest's own figures (fx_assets.evaluation).

A book is one model on one instrument; the capital is divided equally between the books that were ever decided on. All
of a held return belongs to the FX day of its entry, as in the backtest, so that both can be compared.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation import performance
from fx_assets.evaluation.backtest import DAYS_PER_YEAR, Run
from fx_assets.evaluation.calendar import nights, trading_day
from fx_assets.market_hours import market_hours
from fx_assets.sessions import running_session, session_bounds
from fx_monitoring.trading.ledger import micros, moment, reading
from fx_serving.client.clock import now
from fx_serving.client.home import Stores

WINDOWS: dict[str, int | None] = {"5d": 5, "20d": 20, "all": None}
SEED = 7
MIN_DAYS = 3
# The stroke of 17:00 New York is still the session's that ends.
_LAST = timedelta(microseconds=1)
_YEAR = float(np.sqrt(DAYS_PER_YEAR))
_HELD = """
SELECT o.model, o.instrument, e.quote_time AS entry_time, x.quote_time AS exit_time, o.position, o.bar_minutes,
       e.mid AS entry_mid, x.mid AS exit_mid, e.cost AS entry_cost, x.cost AS exit_cost, x.swap AS swap,
       e.units + x.units AS changed, e.follows AS follows
FROM orders o JOIN fills e ON e.order_id = o.id AND e.leg = 'entry' JOIN fills x ON x.order_id = o.id AND x.leg = 'exit'
WHERE x.quote_time <= ? ORDER BY o.model, o.instrument, e.quote_time
"""
_OPEN = """
SELECT o.model, o.instrument, o.position, e.quote_time, o.exit_due, e.price, e.mid
FROM orders o JOIN fills e ON e.order_id = o.id AND e.leg = 'entry'
LEFT JOIN fills x ON x.order_id = o.id AND x.leg = 'exit'
WHERE e.quote_time <= ? AND (x.quote_time IS NULL OR x.quote_time > ?) ORDER BY o.model, o.instrument
"""


class Position(msgspec.Struct, frozen=True):
    """A position that is held. position: -1 to 1 of its book's capital."""

    model: str
    instrument: str
    position: float
    opened_at: datetime
    exit_due: datetime
    entry_price: float
    entry_mid: float


class Ratio(msgspec.Struct, frozen=True):
    """An annualised Sharpe ratio of daily net returns with its 95 % interval; None where the days are too few."""

    value: float | None
    low: float | None
    high: float | None
    days: int


class Latency(msgspec.Struct, frozen=True):
    """Seconds from a bar's close to its decision. met: how many of `decisions` within the SLA."""

    decisions: int
    met: int
    worst_s: float | None
    last_s: float | None


class TradingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything as of `at`. pnl_*: shares of the capital (0.01 is 1 %), summed over days; pnl_session: of the FX day
    that `at` falls into. win_rate: None without a closed trade. enough: whether trades reach trading.min_trades.
    """

    at: datetime
    mode: str
    positions: list[Position]
    pnl_net: float
    pnl_gross: float
    pnl_session: float
    sharpe: dict[str, Ratio]
    max_drawdown_pct: float
    win_rate: float | None
    trades: int
    trades_by_instrument: dict[str, int]
    signals_per_hour: float | None
    signals_last_hour: int
    enough: bool
    min_trades: int
    latency: Latency
    refusals: int
    last_run_at: datetime | None
    last_order_at: datetime | None


@dataclass(frozen=True)
class Book:
    """The ledger's content as of a moment. run: as a backtest gives it, None while nothing was closed; decisions: bar,
    model, instrument, position, latency_s, in_time.
    """

    run: Run | None
    decisions: pd.DataFrame
    positions: list[Position]


def load(connection: sqlite3.Connection, at: datetime) -> Book:
    """What had been decided and filled by `at`."""
    until = micros(at)
    decisions = pd.read_sql_query(
        "SELECT model, instrument, bar, at, position, latency_s, in_time, outcome FROM decisions WHERE at <= ?",
        connection,
        params=(until,),
    )
    held = pd.read_sql_query(_HELD, connection, params=(until,))
    found = [
        Position(row[0], row[1], row[2], moment(row[3]), moment(row[4]), row[5], row[6])
        for row in connection.execute(_OPEN, (until, until))
    ]
    return Book(_run(held, decisions), decisions, found)


def _run(held: pd.DataFrame, decisions: pd.DataFrame) -> Run | None:
    """The fills in the form of a backtest's run."""
    if not len(held):
        return None
    begin, finish = (held[name].to_numpy("int64").view("datetime64[us]") for name in ("entry_time", "exit_time"))
    position = held["position"].to_numpy(float)
    length = held["bar_minutes"].to_numpy() * np.timedelta64(60_000_000, "us")
    frame = pd.DataFrame(
        {
            # Trades of two models on one instrument are not one trade.
            "instrument": held["model"] + "/" + held["instrument"],
            "entry_time": begin,
            "exit_time": finish,
            "position": position,
            "rows": np.maximum((finish - begin) // length, 1),
            "gross": position * (held["exit_mid"].to_numpy() / held["entry_mid"].to_numpy() - 1.0),
            "entry_cost": held["entry_cost"],
            "exit_cost": held["exit_cost"],
            "swap": held["swap"],
            "changed": held["changed"],
            "follows": held["follows"].astype(bool),
        }
    )
    of_entry = trading_day(begin)
    days = np.unique(np.concatenate([trading_day(decisions["bar"].to_numpy("int64").view("datetime64[us]")), of_entry]))
    number = len(decisions[["model", "instrument"]].drop_duplicates())
    return Run(frame, days, np.searchsorted(days, of_entry), max(number, 1), len(decisions), 0, 0.0)


def latest(
    stores: Stores, configuration: Configuration | None = None, at: datetime | None = None
) -> TradingFigures | None:
    """The figures as of `at` (the data clock's now without it); None where nothing was ever traded.

    Raises StoreError for a damaged trading.db.
    """
    from fx_assets.configuration import load_configuration
    from fx_monitoring.configuration import load_monitoring

    moment_ = at or now()
    with reading(stores.trading_db) as connection:
        if connection is None:
            return None
        found = load(connection, moment_)
        runs = connection.execute(
            "SELECT id, began, mode FROM runs WHERE began <= ? ORDER BY began DESC LIMIT 1", (micros(moment_),)
        ).fetchone()
        refused = connection.execute(
            "SELECT count(*) FROM refusals WHERE run_id = ?", (runs[0] if runs else None,)
        ).fetchone()[0]
    minimum = load_monitoring().trading.min_trades
    return _figures(found, moment_, configuration or load_configuration(), minimum, runs, refused)


def _figures(
    found: Book, at: datetime, configuration: Configuration, minimum: int, newest: Any, refused: int
) -> TradingFigures:
    decisions, run = found.decisions, found.run
    orders = decisions[decisions["outcome"] == "order"]
    signals = decisions[decisions["position"] != 0.0]
    start, end = session_bounds(running_session(at - _LAST, configuration.all_week))
    hours = open_hours(configuration, start, min(at, end))
    in_session = int((signals["at"] >= micros(start)).sum())
    money = _money(run, at)
    return TradingFigures(
        at=at,
        mode=newest[2] if newest else "full",
        positions=found.positions,
        signals_per_hour=in_session / hours if hours > 0 else None,
        signals_last_hour=int((signals["at"] > micros(at - timedelta(hours=1))).sum()),
        enough=money["trades"] >= minimum,
        min_trades=minimum,
        latency=Latency(
            len(decisions),
            int(decisions["in_time"].sum()),
            float(decisions["latency_s"].max()) if len(decisions) else None,
            float(decisions.sort_values("at")["latency_s"].iloc[-1]) if len(decisions) else None,
        ),
        refusals=refused,
        last_run_at=moment(newest[1]) if newest else None,
        last_order_at=moment(int(orders["at"].max())) if len(orders) else None,
        **money,
    )


def _money(run: Run | None, at: datetime) -> dict[str, Any]:
    """The part of the figures that closed positions make."""
    if run is None:
        nothing = {name: Ratio(None, None, None, 0) for name in WINDOWS}
        return {"pnl_net": 0.0, "pnl_gross": 0.0, "pnl_session": 0.0, "sharpe": nothing, "max_drawdown_pct": 0.0} | {
            "win_rate": None,
            "trades": 0,
            "trades_by_instrument": {},
        }
    told, daily, trades = run.figures(seed=SEED), run.daily(), run.trades
    today = trading_day(np.array([np.datetime64((at - _LAST).replace(tzinfo=None), "us")]))[0]
    return {
        "pnl_net": told["net_return"],
        "pnl_gross": told["gross_return"],
        "pnl_session": float(daily[run.days == today].sum()),
        "sharpe": {name: _ratio(daily if size is None else daily[-size:]) for name, size in WINDOWS.items()},
        "max_drawdown_pct": 100.0 * told["max_drawdown"],
        "win_rate": told["win_rate"] if told["trades"] else None,
        "trades": told["trades"],
        "trades_by_instrument": {
            str(name): int(count)
            for name, count in trades["instrument"].str.partition("/")[2].value_counts().sort_index().items()
        },
    }


def _ratio(daily: np.ndarray) -> Ratio:
    """Two days say nothing yet of how much a day varies, and a few days in one block nothing of how sure that is."""
    if len(daily) < MIN_DAYS:
        return Ratio(None, None, None, len(daily))
    found = performance.sharpe_interval(daily, _YEAR, SEED)
    value, low, high = (float(found[name]) if np.isfinite(found[name]) else None for name in ("value", "low", "high"))
    if len(daily) < 2 * performance.BLOCK_DAYS:
        low = high = None
    return Ratio(value, low, high, len(daily))


def open_hours(configuration: Configuration, start: datetime, end: datetime) -> float:
    """Hours between the two in which the market that is open longest was open."""
    if end <= start:
        return 0.0
    found = [0.0]
    for name in {instrument.calendar for instrument in configuration.instruments.instruments.values()}:
        spans = market_hours(name).open_intervals(start, end)
        found.append(float((spans["close"] - spans["open"]).sum() / pd.Timedelta(hours=1)))
    return max(found)


def by_book(run: Run | None) -> list[dict[str, Any]]:
    """Each model and instrument: trades, win_rate, gross, cost and net (shares of the book's own capital)."""
    if run is None:
        return []
    rows = []
    for name, part in run.trades.groupby("instrument"):
        model, _, instrument = str(name).partition("/")
        rows.append(
            {
                "model": model,
                "instrument": instrument,
                "trades": len(part),
                "win_rate": float((part["net_return"] > 0).mean()),
                "gross": float(part["gross_return"].sum()),
                "cost": float((part["spread_cost"] + part["swap_cost"]).sum()),
                "net": float(part["net_return"].sum()),
            }
        )
    return rows


def unrealised(position: Position, mid: float, half_spread: float, swap_per_day: float, at: datetime) -> float:
    """What a held position would bring on its book's capital, if it were closed now."""
    times = (np.array([np.datetime64(t.replace(tzinfo=None), "us")]) for t in (position.opened_at, at))
    size = abs(position.position)
    move = position.position * (mid / position.entry_mid - 1.0)
    return float(move - half_spread * size - size * swap_per_day * int(nights(*times)[0]))

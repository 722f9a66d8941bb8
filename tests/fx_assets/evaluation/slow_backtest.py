"""The backtest as one would keep the books by hand: row by row, with dictionaries, as slow as it is plain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Row:
    """One decision: everything that is known of it."""

    position: float
    simple_return: float
    half: float
    end: datetime


@dataclass
class Trade:
    """One stay on one side of the market."""

    instrument: str
    side: int
    entry: datetime
    exit: datetime
    gross: float = 0.0
    cost: float = 0.0
    swap: float = 0.0

    @property
    def net(self) -> float:
        return self.gross - self.cost - self.swap


@dataclass
class Books:
    """Net and gross of each FX day, trades, and units changed."""

    net: dict[str, float] = field(default_factory=dict)
    gross: dict[str, float] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    changed: float = 0.0
    steps: dict[datetime, float] = field(default_factory=dict)


def fx_day(moment: datetime) -> str:
    """The date on which the FX day ends that `moment` belongs to."""
    local = moment.astimezone(NEW_YORK).replace(tzinfo=None)
    return str((local + timedelta(hours=7)).date())


def paid_nights(begin: datetime, finish: datetime) -> int:
    """17:00 New York after `begin` up to `finish`, on working days, Wednesdays threefold; counted minute by day."""
    total, day = 0, begin.astimezone(NEW_YORK).date() - timedelta(days=1)
    while day <= finish.astimezone(NEW_YORK).date():
        turn = datetime(day.year, day.month, day.day, 17, tzinfo=NEW_YORK)
        if begin < turn <= finish and day.weekday() < 5:
            total += 3 if day.weekday() == 2 else 1
        day += timedelta(days=1)
    return total


def keep_books(market: dict[str, dict[datetime, Row]], wait: timedelta, swap: Mapping[str, float]) -> Books:
    """Trade each instrument's decisions `wait` late, one after the other."""
    books, share = Books(), 1.0 / len(market)
    for instrument, rows in market.items():
        for moment in rows:
            books.net.setdefault(fx_day(moment), 0.0)
            books.gross.setdefault(fx_day(moment), 0.0)
        trade: Trade | None = None
        never = datetime.min.replace(tzinfo=UTC)
        busy_until = entry_of_last = never
        held, last_half = 0.0, 0.0

        def book(at: datetime, gross: float, cost: float, swapped: float, into: Trade) -> None:
            into.gross, into.cost, into.swap = into.gross + gross, into.cost + cost, into.swap + swapped
            books.gross[fx_day(at)] += gross * share
            books.net[fx_day(at)] += (gross - cost - swapped) * share
            books.steps[at] = books.steps.get(at, 0.0) + (gross - cost - swapped) * share

        for now in sorted(rows):
            if now < busy_until:
                continue
            decided = rows.get(now - wait)
            wanted = decided.position if decided is not None else 0.0
            if trade is not None and (now > busy_until or np.sign(wanted) != np.sign(held)):
                # Left: at this row's spread where it is the very moment, else at that of the last entry.
                half = rows[now].half if now == busy_until else last_half
                book(entry_of_last, 0.0, half * abs(held), 0.0, trade)
                books.changed += abs(held)
                trade, held = None, 0.0
            if wanted == 0.0:
                continue
            row = rows[now]
            if trade is None:
                trade = Trade(instrument, int(np.sign(wanted)), now, row.end)
                books.trades.append(trade)
            change = abs(wanted - held)
            nightly = swap[instrument] * abs(wanted) * paid_nights(now, row.end)
            book(now, wanted * row.simple_return, row.half * change, nightly, trade)
            books.changed += change
            trade.exit, held, last_half, entry_of_last, busy_until = row.end, wanted, row.half, now, row.end
        if trade is not None:
            book(entry_of_last, 0.0, last_half * abs(held), 0.0, trade)
            books.changed += abs(held)
    return books


def deepest_fall(steps: dict[datetime, float]) -> float:
    """Largest loss of the compounded capital from its highest value so far."""
    capital, highest, deepest = 1.0, 1.0, 0.0
    for moment in sorted(steps):
        capital *= 1.0 + max(steps[moment], -1.0)
        highest = max(highest, capital)
        deepest = max(deepest, 1.0 - capital / highest)
    return deepest

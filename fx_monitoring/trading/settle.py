"""Filling the orders that are due, by the rules of the backtest (fx_assets.evaluation.backtest).

An order is filled at the closing quote of the bar it is due at, which comes after the order; where that bar never came,
it expires. A position is closed at the first quote at or after its end. Half the spread is paid for each unit bought or
sold; what goes on, same side without a gap, is neither closed nor opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from fx_assets.evaluation.calendar import nights
from fx_monitoring.trading.ledger import Fill, Ledger, Leg, Order, Run
from fx_monitoring.trading.quotes import Quote

Quotes = Mapping[str, Sequence[Quote]]


def settle(ledger: Ledger, run: Run, quotes: Quotes, at: datetime) -> list[Fill]:
    """Fill, close and expire what the quotes allow; the fills that this call made. quotes: the oldest first."""
    made: list[Fill] = []
    # Entries first: whether a position ends or goes on, the order behind it tells.
    for order in ledger.alive():
        if order.state == "pending" and (fill := _entry(ledger, order, quotes.get(order.instrument, ()))):
            made += [fill] if ledger.fill(run, fill, at) else []
    for order in ledger.alive():
        if order.state == "open" and (fill := _exit(ledger, order, quotes.get(order.instrument, ()))):
            made += [fill] if ledger.fill(run, fill, at) else []
    return made


def _entry(ledger: Ledger, order: Order, quotes: Sequence[Quote]) -> Fill | None:
    found = next((quote for quote in quotes if quote.time >= order.entry_due), None)
    if found is None:
        return None
    if found.time > order.entry_due:
        ledger.expire(order, f"no quote at {order.entry_due:%Y-%m-%d %H:%M} UTC; the next is of {found.time:%H:%M}")
        return None
    before = ledger.neighbour(order, "entry")
    goes_on = before is not None and np.sign(before.position) == np.sign(order.position)
    change = order.position - (before.position if before is not None and goes_on else 0.0)
    return _fill(order, "entry", found, change, follows=goes_on)


def _exit(ledger: Ledger, order: Order, quotes: Sequence[Quote]) -> Fill | None:
    found = next((quote for quote in quotes if quote.time >= order.exit_due), None)
    if found is None:
        return None
    behind = ledger.neighbour(order, "exit")
    goes_on = behind is not None and np.sign(behind.position) == np.sign(order.position)
    held = nights(*(np.array([np.datetime64(t.replace(tzinfo=None), "us")]) for t in (order.entry_due, found.time)))
    swap = abs(order.position) * order.swap_per_day * int(held[0])
    return _fill(order, "exit", found, 0.0 if goes_on else -order.position, swap=swap, follows=goes_on)


def _fill(order: Order, leg: Leg, quote: Quote, change: float, *, follows: bool, swap: float = 0.0) -> Fill:
    """change: units bought (above 0) or sold."""
    price = quote.ask if change > 0 else quote.bid if change < 0 else quote.mid
    return Fill(
        order=order,
        leg=leg,
        quote_time=quote.time,
        mid=quote.mid,
        price=price,
        half_spread=quote.half_spread,
        quote=quote.source,
        units=abs(change),
        cost=quote.half_spread * abs(change),
        swap=swap,
        follows=follows,
    )

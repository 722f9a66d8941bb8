"""The pricing stream: a line for each price and a heartbeat every five seconds, for as long as the client listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from fx_assets.practice.instruments import stream_price
from fx_assets.practice.market import Market
from fx_assets.practice.render import time_text

HEARTBEAT_S = 5.0
_LOOK_EVERY_S = 0.1


async def price_lines(
    market: Market,
    symbols: Sequence[str],
    clock: Callable[[], float],
    unix: bool,
    snapshot: bool = True,
    ending: Callable[[], bool] = lambda: False,
) -> AsyncIterator[bytes]:
    """NDJSON: first the newest price of each instrument, then every price as its time comes, and heartbeats."""
    sent = int(clock() * 1000)
    lines: list[Any] = []
    for symbol in symbols if snapshot else ():
        if (tick := market.price(symbol, sent / 1000)) is not None:
            lines.append(stream_price(market.histories[symbol], tick, unix))
    next_heartbeat = sent
    while not ending():
        until = int(clock() * 1000)
        due = [(tick.at, symbol, tick) for symbol in symbols for tick in market.ticks(symbol, sent, until)]
        lines += [stream_price(market.histories[symbol], tick, unix) for _, symbol, tick in sorted(due)]
        sent = until
        if until >= next_heartbeat:
            lines.append({"type": "HEARTBEAT", "time": time_text(until, unix)})
            next_heartbeat = until + int(HEARTBEAT_S * 1000)
        if lines:
            yield b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            lines = []
        await asyncio.sleep(_LOOK_EVERY_S)

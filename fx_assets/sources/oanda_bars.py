"""Bars from the prices of a stream. Pure: no connection and no clock of its own, only the server's times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from fx_assets.sources.oanda_page import ALIGNMENT_HOUR, ALIGNMENT_ZONE, COLUMNS, to_frame

# An instrument's bar is closed by its own next price, or by anything the server has sent this long after its end:
# prices of several instruments may overtake one another a little.
SETTLE_S = 1.0


@dataclass(frozen=True)
class StreamBar:
    """A finished bar of one instrument. values: in the order of COLUMNS of oanda_page, time in seconds since 1970."""

    instrument: str
    minutes: int
    values: tuple[float, ...]

    @property
    def time(self) -> datetime:
        """The bar's open, UTC."""
        return datetime.fromtimestamp(self.values[0], UTC)


def bars_frame(bars: Iterable[StreamBar]) -> pd.DataFrame:
    """Bars of one instrument as a frame of the same columns and types as candles fetched over REST."""
    return to_frame(np.array([bar.values for bar in bars], float).reshape(-1, len(COLUMNS)))


class BarBuilder:
    """Builds one instrument's bars of `minutes` minutes; only bars seen whole come out.

    What is seen whole: `connected` says from when on every price has come, `cut` that some may have been missed. A
    bar that was not begun under an unbroken connection, or holds a doubtful price, is left out.
    """

    def __init__(self, instrument: str, minutes: int):
        self.instrument, self.minutes = instrument, minutes
        self._whole_since: float | None = None
        self._start = self._end = 0.0
        self._doubtful = False
        self._sides: list[_Side] | None = None  # mid, bid, ask of the running bar; None before its first price
        self._count = 0

    def connected(self, at: float) -> None:
        """Every price from this moment (seconds since 1970, the server's time) on will come."""
        self._whole_since = at

    def cut(self) -> None:
        """Prices may have been missed: the running bar will not come out."""
        self._whole_since = None

    def price(self, at: float, bid: float, ask: float, mid: float) -> list[StreamBar]:
        """One price; returns the bar that it closes, if that was seen whole. Late ones of a closed bar are ignored."""
        closed = self.advance(at, settle=0)
        if at < self._start:
            return closed
        if at >= self._end:
            self._start, self._end = bar_bounds(at, self.minutes)
        if self._sides is None:
            self._sides = [_Side(mid), _Side(bid), _Side(ask)]
        else:
            for side, value in zip(self._sides, (mid, bid, ask), strict=True):
                side.add(value)
        self._count += 1
        return closed

    def doubt(self, at: float) -> list[StreamBar]:
        """A price came that cannot be used, such as a bid above the ask: the bar is left to the broker's candles."""
        closed = self.advance(at, settle=0)
        if at < self._start:
            return closed
        if at >= self._end:
            self._start, self._end = bar_bounds(at, self.minutes)
        self._doubtful = True
        return closed

    def advance(self, at: float, settle: float = SETTLE_S) -> list[StreamBar]:
        """The server's time has come to `at`; returns the bar that has ended, if it was seen whole and had a price."""
        if not self._end or at < self._end + settle:
            return []
        whole = self._whole_since is not None and self._whole_since <= self._start and not self._doubtful
        bars = []
        if whole and self._sides is not None:
            (mid, bid, ask), count = (side.ohlc() for side in self._sides), float(self._count)
            bars = [StreamBar(self.instrument, self.minutes, (self._start, *mid, count, *bid, *ask))]
        self._start = self._end
        self._end = 0.0
        self._sides, self._count, self._doubtful = None, 0, False
        return bars


class _Side:
    """Open, high, low and close of one of middle, bid and ask."""

    __slots__ = ("close", "high", "low", "open")

    def __init__(self, first: float):
        self.open = self.high = self.low = self.close = first

    def add(self, value: float) -> None:
        self.high, self.low, self.close = max(self.high, value), min(self.low, value), value

    def ohlc(self) -> tuple[float, float, float, float]:
        return self.open, self.high, self.low, self.close


def bar_bounds(at: float, minutes: int) -> tuple[float, float]:
    """Start and end of the bar that a moment lies in, seconds since 1970.

    Bars of more than an hour are counted from 17:00 New York, as in OANDA's candles.
    """
    step = minutes * 60
    if step <= 3600:
        start = at // step * step
        return start, start + step
    zone = ZoneInfo(ALIGNMENT_ZONE)
    local = datetime.fromtimestamp(at, zone).replace(tzinfo=None)
    anchor = local.replace(hour=ALIGNMENT_HOUR, minute=0, second=0, microsecond=0)
    since = (local - anchor).total_seconds() // step * step
    begin = anchor + timedelta(seconds=since)
    end = begin + timedelta(seconds=step)
    return begin.replace(tzinfo=zone).timestamp(), end.replace(tzinfo=zone).timestamp()


def middle(bid: float, ask: float, decimals: int) -> float:
    """The middle price as OANDA's candles state it: with the instrument's decimals, halves to the even digit.

    Measured: so it is in all 4,689 opens and closes of recorded hourly candles of USD_SGD.
    """
    scale = 10**decimals
    points = round(bid * scale) + round(ask * scale)
    half, odd = divmod(points, 2)
    return (half + (odd and half % 2)) / scale

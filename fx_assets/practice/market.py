"""Candles and prices of the replayed histories at a moment that is called now: nothing later is ever seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from fx_assets.practice.history import ASK, BID, MID, STEP_S, TIME, VOLUME, WIDTH, History
from fx_assets.practice.path import Ticks, bars_of, draw

_SIDES = (MID, BID, ASK)


class Alignment(NamedTuple):
    """Candles of more than an hour start at `hour` o'clock in `zone`, and at every multiple of their length from it."""

    hour: int = 17
    zone: str = "America/New_York"


NEW_YORK_CLOSE = Alignment()


@dataclass(frozen=True)
class Wanted:
    """Which candles are wanted: from the one that covers `first`, or the next after it; up to the one that starts at
    or before `last`; both seconds since 1970. `count` holds where one of the two is missing.
    """

    granularity: str
    first: float | None = None
    last: float | None = None
    count: int = 500
    include_first: bool = True
    alignment: Alignment = NEW_YORK_CLOSE


class Candles(NamedTuple):
    """bars: rows of WIDTH columns (see history.py), oldest first; complete: whether each had ended by now."""

    bars: np.ndarray
    complete: np.ndarray


class Tick(NamedTuple):
    """One price: milliseconds since 1970, points, and whether the market is open."""

    at: int
    bid: int
    ask: int
    tradeable: bool = True


class Market:
    """The histories, and what is known of them at a moment (`now`, seconds since 1970, UTC)."""

    def __init__(self, histories: Mapping[str, History]):
        self.histories = dict(histories)
        self._ticks = lru_cache(maxsize=512)(lambda symbol, row: draw(self.histories[symbol], row))
        self._groups = lru_cache(maxsize=64)(self._grouped)

    def candles(self, symbol: str, wanted: Wanted, now: float) -> Candles:
        """What was asked for, as far as it is known; the running candle comes with complete False."""
        finer = STEP_S[wanted.granularity] < self.histories[symbol].step
        bars = (self._finer if finer else self._coarser)(symbol, wanted, now)
        return Candles(bars, _ends(bars[:, TIME], wanted) <= now)

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        """Prices with after < at <= until (milliseconds since 1970), oldest first."""
        times = self.histories[symbol].times
        row = max(int(np.searchsorted(times, after // 1000, "right")) - 1, 0)
        found: list[Tick] = []
        while row < len(times) and times[row] * 1000 <= until:
            ticks = self._ticks(symbol, row)
            first, last = np.searchsorted(ticks.at, [after, until], "right")
            prices = zip(ticks.at[first:last].tolist(), ticks.mid[first:last].tolist(), strict=True)
            found += [Tick(at, mid - ticks.half, mid + ticks.half) for at, mid in prices]
            row += 1
        return found

    def price(self, symbol: str, now: float) -> Tick | None:
        """The newest price; not tradeable outside the bars of the history. None before its first one."""
        history = self.histories[symbol]
        newest = int(np.searchsorted(history.times, now, "right")) - 1
        open_ = newest >= 0 and bool(now < history.times[newest] + history.step)
        for row in range(newest, -1, -1):
            ticks = self._until(symbol, row, now)
            if len(ticks.at):
                mid = int(ticks.mid[-1])
                return Tick(int(ticks.at[-1]), mid - ticks.half, mid + ticks.half, open_)
        return None

    def _coarser(self, symbol: str, wanted: Wanted, now: float) -> np.ndarray:
        """Candles as long as the history's bars, or longer."""
        history = self.histories[symbol]
        starts, rows = self._groups(symbol, wanted.granularity, wanted.alignment)
        ended = int(np.searchsorted(history.times, now - history.step, "right"))
        running = self._drawn(symbol, ended, now, history.granularity, wanted.alignment)
        known = ended + len(running)
        first, last = _window(starts[: np.searchsorted(rows, known)], wanted)
        if first >= last:
            return np.empty((0, WIDTH), "int64")
        begin, end = rows[first], min(rows[last] if last < len(rows) else known, known)
        bars = history.bars[begin : min(end, ended)]
        if end > ended:
            bars = np.concatenate([bars, running])
        return _aggregate(bars, starts[first:last], rows[first:last] - begin)

    def _finer(self, symbol: str, wanted: Wanted, now: float) -> np.ndarray:
        """Candles shorter than the history's bars: drawn inside them."""
        times = self.histories[symbol].times
        newest = int(np.searchsorted(times, min(now, now if wanted.last is None else wanted.last), "right")) - 1
        parts: list[np.ndarray] = []
        # One candle more than wanted: the one that covers `first` may be left out, and at the edge of a bar of the
        # history a candle may begin in the bar before.
        enough, found = wanted.count + 2, 0
        if wanted.first is None:
            order = range(newest, -1, -1)
        else:
            order = range(max(int(np.searchsorted(times, wanted.first, "right")) - 2, 0), newest + 1)
        for row in order:
            part = self._drawn(symbol, row, now, wanted.granularity, wanted.alignment)
            parts.append(part)
            found += int((part[:, TIME] >= (wanted.first or 0)).sum())
            if found >= enough and None in (wanted.first, wanted.last):
                break
        if not parts:
            return np.empty((0, WIDTH), "int64")
        bars = np.concatenate(parts if wanted.first is not None else parts[::-1])
        starts, rows = np.unique(bars[:, TIME], return_index=True)
        bars = _aggregate(bars, starts, rows)
        first, last = _window(starts, wanted)
        return bars[first:last]

    def _drawn(self, symbol: str, row: int, now: float, granularity: str, alignment: Alignment) -> np.ndarray:
        """The bars of a granularity inside one bar of the history, as far as it has come; none where it has not."""
        history = self.histories[symbol]
        if row >= len(history.times) or history.times[row] > now:
            return np.empty((0, WIDTH), "int64")
        ticks = self._until(symbol, row, now)
        if not len(ticks.at):
            return np.empty((0, WIDTH), "int64")
        if granularity == history.granularity:
            times = np.full(len(ticks.at), history.times[row])
        else:
            times = _starts(ticks.at // 1000, granularity, alignment)
        starts, first = np.unique(times, return_index=True)
        return bars_of(ticks, starts, first)

    def _until(self, symbol: str, row: int, now: float) -> Ticks:
        """The ticks of a bar that there have been by now."""
        ticks = self._ticks(symbol, row)
        known = int(np.searchsorted(ticks.at, int(now * 1000), "right"))
        return ticks._replace(at=ticks.at[:known], mid=ticks.mid[:known], volume=ticks.volume[:known])

    def _grouped(self, symbol: str, granularity: str, alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
        """Starts of all candles of a granularity, and the row of the history that each begins with."""
        history = self.histories[symbol]
        if granularity == history.granularity:
            return history.times, np.arange(len(history.times))
        return np.unique(_starts(history.times, granularity, alignment), return_index=True)


def _window(starts: np.ndarray, wanted: Wanted) -> tuple[int, int]:
    """From which to which candle, the last excluded."""
    first, last = 0, len(starts)
    if wanted.last is not None:
        last = int(np.searchsorted(starts, wanted.last, "right"))
    if wanted.first is None:
        return max(last - wanted.count, 0), last
    first = int(np.searchsorted(starts, wanted.first, "right")) - 1
    covered = first >= 0 and _ends(starts[first : first + 1], wanted)[0] > wanted.first
    first += not (covered and wanted.include_first)
    return first, last if wanted.last is not None else min(first + wanted.count, last)


def _aggregate(bars: np.ndarray, starts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Longer bars from shorter ones: `starts` their opens, `first` the row that each begins with."""
    if np.array_equal(starts, bars[:, TIME]):
        return bars
    made = np.empty((len(starts), WIDTH), "int64")
    made[:, TIME] = starts
    made[:, VOLUME] = np.add.reduceat(bars[:, VOLUME], first)
    last = np.append(first[1:], len(bars)) - 1
    for side in _SIDES:
        prices, into = bars[:, side], made[:, side]
        into[:, 0], into[:, 3] = prices[first, 0], prices[last, 3]
        into[:, 1] = np.maximum.reduceat(prices[:, 1], first)
        into[:, 2] = np.minimum.reduceat(prices[:, 2], first)
    return made


def _starts(times: np.ndarray, granularity: str, alignment: Alignment) -> np.ndarray:
    """The start of the candle in which each time lies."""
    step = STEP_S[granularity]
    if step <= 3600:
        return times // step * step
    utc = pd.DatetimeIndex(times.astype("datetime64[s]"), tz="UTC")
    local = utc.tz_convert(alignment.zone).tz_localize(None).as_unit("s").astype("int64").to_numpy()
    shift = alignment.hour * 3600
    return _to_utc((local - shift) // step * step + shift, alignment)


def _ends(starts: np.ndarray, wanted: Wanted) -> np.ndarray:
    """The end of each candle."""
    step = STEP_S[wanted.granularity]
    if step <= 3600:
        return starts + step
    utc = pd.DatetimeIndex(starts.astype("datetime64[s]"), tz="UTC")
    local = utc.tz_convert(wanted.alignment.zone).tz_localize(None).as_unit("s").astype("int64").to_numpy()
    return _to_utc(local + step, wanted.alignment)


def _to_utc(local: np.ndarray, alignment: Alignment) -> np.ndarray:
    """Clock times of a zone as seconds since 1970, UTC; an hour that there is twice counts as the first."""
    index = pd.DatetimeIndex(local.astype("datetime64[s]"))
    first = np.ones(len(index), bool)
    zoned = index.tz_localize(alignment.zone, ambiguous=first, nonexistent="shift_forward")
    return zoned.as_unit("s").astype("int64").to_numpy()

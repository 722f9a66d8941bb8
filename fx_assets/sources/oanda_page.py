"""One page of OANDA candles: from the bytes of an answer to checked columns. No requests here."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct

from fx_assets.sources.base import SourceError

ALIGNMENT_HOUR, ALIGNMENT_ZONE = 17, "America/New_York"
STEP_S = {"M1": 60, "M5": 300, "M15": 900, "M30": 1800, "H1": 3600, "H4": 14400, "D": 86400}
PRICES = ("open", "high", "low", "close")
COLUMNS = ("time", *PRICES, "volume", *(f"{side}_{price}" for side in ("bid", "ask") for price in PRICES))


class _Prices(Struct, gc=False):
    o: float
    h: float
    l: float  # noqa: E741 - OANDA's name
    c: float


class _Candle(Struct, gc=False):
    complete: bool
    volume: int
    time: float
    mid: _Prices
    bid: _Prices
    ask: _Prices


class _Page(Struct, gc=False):
    instrument: str
    granularity: str
    candles: list[_Candle]


# Numbers come as strings; strict=False turns them into floats while they are read.
_decoder = msgspec.json.Decoder(_Page, strict=False)


class Page:
    """The candles of one answer as columns: time (seconds since 1970, UTC), mid OHLC, volume, bid and ask OHLC.

    Raises SourceError, its words starting with `who`, for anything but candles of this instrument and granularity
    that rise in time, lie on the granularity's grid, start no earlier than the one that covers `first`, are no more
    than `count`, and hold positive prices.
    """

    def __init__(self, content: bytes, who: str, instrument: str, granularity: str, first: float, count: int):
        self._who = who
        try:
            page = _decoder.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse(f"the answer is no page of candles ({error})")
        if page.instrument != instrument or page.granularity != granularity:
            self._refuse(
                f"the answer is about {page.instrument[:20]} {page.granularity[:20]}, not {instrument} {granularity}"
            )
        if len(page.candles) > count:
            self._refuse(f"{len(page.candles)} candles came where {count} were asked for")
        self.complete = np.array([candle.complete for candle in page.candles], bool)
        self.values = _columns(page.candles)
        self._check(granularity, first)

    def __len__(self) -> int:
        return len(self.complete)

    @property
    def times(self) -> np.ndarray:
        """Bar opens, seconds since 1970, UTC."""
        return self.values[:, 0]

    def _check(self, granularity: str, first: float) -> None:
        times, prices, volume = self.times, np.delete(self.values, [0, 5], axis=1), self.values[:, 5]
        # The candle that covers `first` may start a candle's length before it; a day may have 25 hours.
        reach = STEP_S[granularity] + 3600 * (STEP_S[granularity] > 3600)
        if not np.isfinite(times).all() or (len(times) and times[0] <= first - reach):
            self._refuse(f"a candle starts before {_utc(first)}, from where they were asked for")
        if (back := np.diff(times) <= 0).any():
            self._refuse(f"times do not rise after {_utc(times[int(back.argmax())])}")
        if (off := ~on_grid(times, granularity)).any():
            self._refuse(f"{_utc(times[int(off.argmax())])} is no start of a {granularity} candle")
        bad = ~(np.isfinite(prices) & (prices > 0)).all(axis=1) | (volume < 0)
        if bad.any():
            row = int(bad.argmax())
            found = ", ".join(f"{k} {v:g}" for k, v in zip(COLUMNS[1:], self.values[row, 1:], strict=True))
            self._refuse(f"the candle of {_utc(times[row])} has no sound numbers ({found})")

    def _refuse(self, what: str) -> NoReturn:
        raise SourceError(f"{self._who}: {what}. Nothing of it was used; try later.")


def _columns(candles: list[_Candle]) -> np.ndarray:
    """COLUMNS as one array, a row for each candle. One flat list is the fastest way there from many objects."""
    flat: list[float] = []
    for candle in candles:
        mid, bid, ask = candle.mid, candle.bid, candle.ask
        flat += (
            *(candle.time, mid.o, mid.h, mid.l, mid.c, candle.volume),
            *(bid.o, bid.h, bid.l, bid.c, ask.o, ask.h, ask.l, ask.c),
        )
    return np.array(flat, float).reshape(-1, len(COLUMNS))


def on_grid(times: np.ndarray, granularity: str) -> np.ndarray:
    """Whether each time (seconds since 1970) can start a candle; H4 and D are counted from 17:00 New York."""
    step = STEP_S[granularity]
    if step <= 3600:
        return times % step == 0
    local = pd.DatetimeIndex((times * 1e6).astype("datetime64[us]"), tz="UTC").tz_convert(ALIGNMENT_ZONE)
    seconds = (local.hour * 60 + local.minute) * 60 + local.second - ALIGNMENT_HOUR * 3600
    return np.asarray(seconds % step == 0) & (times % 1 == 0)


def to_frame(values: np.ndarray) -> pd.DataFrame:
    """COLUMNS as a frame; time as datetime64[us, UTC], the rest float64."""
    frame = pd.DataFrame(values, columns=list(COLUMNS))
    micro = (values[:, 0] * 1e6).astype("int64").view("datetime64[us]")
    frame["time"] = pd.DatetimeIndex(micro, tz="UTC")
    return frame


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), ZoneInfo("UTC")).strftime("%Y-%m-%d %H:%M:%S UTC")

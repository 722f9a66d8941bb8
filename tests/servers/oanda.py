"""The OANDA-compatible server for tests: served on a free port, with faults, and a clock that a test sets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from fx_assets.practice.app import PracticeServer
from fx_assets.practice.history import History, from_frame, load_history
from fx_assets.practice.market import Market
from fx_assets.practice.traffic import Traffic
from fx_assets.sources.options import Oanda
from tests.servers.faults import FaultApp, serve

TOKEN, ACCOUNT = "0123456789abcdef-practice-token", "101-001-7654321-001"


class SetClock:
    """Starts at `at`, and runs `speed` times as fast as the wall clock: 0 stands still."""

    def __init__(self, at: str | datetime, speed: float = 0):
        self.speed = speed
        self.set(at)

    def set(self, at: str | datetime) -> None:
        """It is this time now; a string is ISO 8601 with offset."""
        self._at, self._since = pd.Timestamp(at).timestamp(), time.time()

    def __call__(self) -> float:
        return self._at + (time.time() - self._since) * self.speed

    def now(self) -> datetime:
        """As the platform's clock tells it."""
        return datetime.fromtimestamp(self(), UTC)


@dataclass
class OandaServer:
    """A running server: where it is, the switch for its faults, what it was asked, and its clock."""

    url: str
    faults: FaultApp
    traffic: Traffic
    clock: SetClock
    market: Market

    def options(self, **more: object) -> Oanda:
        """The options with which a source talks to this server."""
        return Oanda.model_validate({"url": self.url, "stream_url": self.url, "stream": True} | more)


@contextlib.contextmanager
def oanda_server(
    at: str | datetime,
    histories: Mapping[str, History] | None = None,
    speed: float = 0,
    requests_per_s: int = 120,
) -> Iterator[OandaServer]:
    """The server at a moment of the history (the sample without one), for TOKEN and ACCOUNT."""
    market, clock, traffic = Market(histories or load_history("sample")), SetClock(at, speed), Traffic(requests_per_s)
    app = FaultApp(PracticeServer(market, clock, ACCOUNT, TOKEN, traffic))
    with serve(app) as served:
        yield OandaServer(served.url, app, traffic, clock, market)


def minute_history(symbol: str, start: str, bars: int, seed: int = 3) -> History:
    """A made-up history of one-minute bars, weekends and nights included."""
    from benchmarks.features import one_minute_bars

    frame = one_minute_bars(bars, seed)
    frame["time"] = pd.date_range(start, periods=bars, freq="1min", tz="UTC", unit="us")
    prices = ["open", "high", "low", "close"]
    frame[prices] = frame[prices].round(5)
    return from_frame(symbol, frame.drop(columns=["instrument"]))

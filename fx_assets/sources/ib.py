"""Historical bars of Interactive Brokers, through ib_async and a running TWS or IB Gateway.

The gateway holds the login; no key is needed here. Middle, bid and ask are three series at IB.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from fx_assets.sessions import NEW_YORK, ROLLOVER_HOUR
from fx_assets.sources import answers, needs
from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.library import Passing, retried
from fx_assets.sources.limits import host_limits
from fx_assets.sources.options import InteractiveBrokers
from fx_serving.client import clock

GRANULARITIES = {
    "M1": "1 min",
    "M5": "5 mins",
    "M15": "15 mins",
    "M30": "30 mins",
    "H1": "1 hour",
    "H4": "4 hours",
    "D": "1 day",
}
# How much history one request may ask for: IB's step sizes, kept to answers of some thousand bars.
PAGE_DAYS = {"M1": 1, "M5": 7, "M15": 14, "M30": 28, "H1": 28, "H4": 180, "D": 365}
SERIES = {"MIDPOINT": "", "BID": "bid_", "ASK": "ask_"}
SYMBOL = "TYPE:SYMBOL:EXCHANGE:CURRENCY, such as STK:SPY:ARCA:USD"

NO_DATA = "query returned no data"
# No security definition; not subscribed; no permissions.
REFUSALS = (200, 321, 354, 10089, 10090, 10168, 10187)


class InteractiveBrokersSource:
    """EUR_USD is the pair at IDEALPRO; anything else is written TYPE:SYMBOL:EXCHANGE:CURRENCY."""

    def __init__(self, name: str, options: InteractiveBrokers):
        self.name, self.options = name, options
        self.where = f"{name}: {options.host}:{options.port}"
        self._ib_async: Any = needs.package(name, "ib_async", "ib")
        self._limits = host_limits(f"{options.host}:{options.port}", options.requests_per_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ib: Any = None
        self._starting = threading.Lock()
        self._connecting: asyncio.Lock | None = None

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Three requests for each page of history, held to IB's pacing."""
        size = answers.native_granularity(self.name, granularity, GRANULARITIES)
        contract = self._contract(instrument)
        merged = None
        for series, prefix in SERIES.items():
            bars = self._series(contract, series, size, granularity, start, min(end, clock.now()))
            bars = bars.rename(columns={name: prefix + name for name in answers.MIDDLE})
            # A bar that one series lacks has no spread: an inner join leaves it out.
            merged = bars if merged is None else merged.merge(bars, on="time", how="inner")
        assert merged is not None
        bars = answers.whole(merged, granularity, start, end)
        return answers.checked(self.name, instrument, bars, granularity, start, end)

    def close(self) -> None:
        """Disconnect, and end the thread that talks to the gateway."""
        loop, self._loop = self._loop, None
        if loop is not None:
            if self._ib is not None:
                loop.call_soon_threadsafe(self._ib.disconnect)
            loop.call_soon_threadsafe(loop.stop)

    def _contract(self, instrument: str) -> Any:
        pair = answers.pair(instrument)
        if pair:
            return self._ib_async.Forex("".join(pair))
        parts = instrument.split(":")
        if len(parts) != 4:
            raise SourceRefused(f"{self.name}: '{instrument}' is not {SYMBOL}. Write it so under symbols.")
        return self._ib_async.Contract(secType=parts[0], symbol=parts[1], exchange=parts[2], currency=parts[3])

    def _series(
        self, contract: Any, series: str, size: str, granularity: str, start: datetime, end: datetime
    ) -> pd.DataFrame:
        """One series over the whole range, page by page from its end, as IB counts."""
        length = timedelta(days=PAGE_DAYS[granularity])
        parts, until = [answers.empty()], end
        while until > start:
            wanted = min(length, until - start)
            page = retried(self.where, self.options, lambda u=until, w=wanted: self._page(contract, series, size, u, w))
            inside = (page["time"] >= pd.Timestamp(start)) & (page["time"] < pd.Timestamp(until))
            parts.append(page[inside])
            until -= wanted
        return pd.concat(parts[::-1], ignore_index=True)

    def _page(self, contract: Any, series: str, size: str, end: datetime, length: timedelta) -> pd.DataFrame:
        self._limits.requests.acquire()
        bars = self._run(self._ask(contract, series, size, end, length))
        try:
            times = pd.to_datetime([bar.date for bar in bars], utc=True)
            if size == GRANULARITIES["D"] and contract.secType == "CASH":
                times = _session_opens(times)
            return answers.frame(times, {name: [getattr(bar, name) for bar in bars] for name in answers.MIDDLE})
        except (TypeError, ValueError) as error:
            raise SourceError(f"{self.where}: the bars are not in the known form ({error}).") from None

    async def _ask(self, contract: Any, series: str, size: str, end: datetime, length: timedelta) -> list[Any]:
        """One historical data request on the connection, which is made first where there is none."""
        await self._connected()
        end = pd.Timestamp(end).ceil("s").to_pydatetime()  # the protocol knows whole seconds
        whole_days = -(-length // timedelta(days=1))
        duration = f"{whole_days} D" if length > timedelta(days=1) else f"{max(int(length.total_seconds()), 60)} S"
        if whole_days >= 365:
            duration = "1 Y"
        try:
            return await self._ib.reqHistoricalDataAsync(
                contract, end, duration, size, series, useRTH=False, formatDate=2, timeout=0
            )
        except self._ib_async.RequestError as error:
            if NO_DATA in error.message:
                return []
            if error.code in REFUSALS or "permission" in error.message.lower():
                raise SourceRefused(
                    f"{self.where}: error {error.code}: {error.message[:300]}. Check symbol and market data "
                    "subscriptions, or name another source in instruments.yaml."
                ) from None
            raise Passing(f"error {error.code}: {error.message[:300]}") from None

    async def _connected(self) -> None:
        assert self._connecting is not None
        async with self._connecting:
            if self._ib is not None and self._ib.isConnected():
                return
            ib = self._ib_async.IB()
            ib.RaiseRequestErrors = True
            options = self.options
            await ib.connectAsync(
                options.host,
                options.port,
                clientId=options.client_id,
                timeout=options.timeout_s,
                readonly=True,
                fetchFields=self._ib_async.StartupFetchNONE,
            )
            self._ib = ib

    def _run(self, work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
        """The result of `work` on the loop, after options.timeout_s at most."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, self.options.timeout_s), self._started())
        try:
            return future.result(self.options.timeout_s + 5)
        except (TimeoutError, concurrent.futures.TimeoutError):
            future.cancel()
            self._drop()
            raise Passing(
                "no complete answer in time; see that the gateway is logged in and client_id is not taken"
            ) from None
        except (ConnectionError, OSError) as error:
            self._drop()
            raise Passing(
                f"cannot connect, or the connection broke ({type(error).__name__}); "
                "start TWS or IB Gateway and enable its API"
            ) from None

    def _drop(self) -> None:
        """A connection that failed is not used again."""
        ib, self._ib = self._ib, None
        if ib is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(ib.disconnect)

    def _started(self) -> asyncio.AbstractEventLoop:
        """The loop, in a thread of its own: ib_async belongs to one loop, callers come from any thread."""
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._connecting = asyncio.Lock()

                def run() -> None:
                    asyncio.set_event_loop(loop)
                    loop.run_forever()
                    for task in asyncio.all_tasks(loop):
                        task.cancel()
                    loop.run_until_complete(asyncio.sleep(0))
                    loop.close()

                threading.Thread(target=run, name=f"{self.name}-loop", daemon=True).start()
                self._loop = loop
            return self._loop


def _session_opens(dates: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """A currency's daily bar is dated by the day it ends on; it opens at 17:00 New York of the day before."""
    before = dates.tz_localize(None) - pd.Timedelta(hours=24 - ROLLOVER_HOUR)
    return before.tz_localize(NEW_YORK).tz_convert("UTC")

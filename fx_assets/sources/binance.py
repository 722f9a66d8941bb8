"""Binance spot klines, through ccxt. No key is needed; prices are trades, so there is no bid and ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from fx_assets.sources import answers, needs
from fx_assets.sources.base import SourceError
from fx_assets.sources.http import session_limits
from fx_assets.sources.library import deadline_session, retried
from fx_assets.sources.options import Binance
from fx_serving.client import clock

GRANULARITIES = {"M1": "1m", "M5": "5m", "M15": "15m", "M30": "30m", "H1": "1h", "H4": "4h", "D": "1d"}
PAGE = 1000
REQUESTS_PER_S = 20.0  # a kline request weighs 2 of the 6,000 a minute
COLUMNS = ("open", "high", "low", "close", "volume")


class BinanceSource:
    """BTC_USDT is asked for as BTCUSDT. Markets that never close; their bars lie on the UTC grid."""

    def __init__(self, name: str, options: Binance):
        self.name, self.options = name, options
        ccxt = needs.package(name, "ccxt", "binance")
        # Waiting and retrying is done here, by the rules that hold for every source.
        self._exchange: Any = ccxt.binance({"timeout": int(options.timeout_s * 1000), "enableRateLimit": False})
        if options.url:
            self._exchange.urls["api"]["public"] = f"{options.url.rstrip('/')}/api/v3"
        url = self._exchange.urls["api"]["public"]
        self._host = urlsplit(url).hostname or url
        self._exchange.session = deadline_session()()
        self._exchange.session.where = self._where = f"{name}: {self._host}"
        self._exchange.session.trust_env = not options.url
        self._limits = session_limits(url, REQUESTS_PER_S)

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource."""
        interval = answers.native_granularity(self.name, granularity, GRANULARITIES)
        pair = answers.pair(instrument)
        symbol = "".join(pair) if pair else instrument
        bar = int(answers.step(granularity) // pd.Timedelta(milliseconds=1))
        since, until = -(-answers.micros(start) // 1000), -(-answers.micros(min(end, clock.now())) // 1000)
        pages = [answers.empty(COLUMNS)]
        while since < until:
            # startTime and endTime belong to Binance's range, in milliseconds.
            params = {"symbol": symbol, "interval": interval, "startTime": since, "endTime": until - 1, "limit": PAGE}
            page = self._page(params)
            pages.append(page)
            if len(page) < PAGE:
                break
            since = answers.micros(page["time"].iloc[-1]) // 1000 + bar
        bars = answers.whole(pd.concat(pages, ignore_index=True), granularity, start, end)
        return answers.checked(self.name, instrument, bars, granularity, start, end)

    def close(self) -> None:
        """Give back the connections."""
        self._exchange.session.close()

    def _page(self, params: dict[str, Any]) -> pd.DataFrame:
        def ask() -> Any:
            self._limits.requests.acquire()
            return self._exchange.public_get_klines(params)

        try:
            rows = retried(self._where, self.options, ask)
            table = np.array([row[:6] for row in rows], dtype="float64").reshape(-1, 6)
            page = answers.frame(
                np.array([int(row[0]) for row in rows], dtype="int64") * 1000,
                {column: table[:, n] for n, column in enumerate(COLUMNS, 1)},
            )
        except SourceError:
            raise
        except Exception as error:  # ccxt raises many kinds; all that is left by now is an answer in no known form
            raise SourceError(
                f"{self._where}: the answer holds no klines in the known form ({type(error).__name__})."
            ) from None
        stamps = page["time"].astype("int64").to_numpy()
        if len(stamps) > PAGE or (np.diff(stamps) <= 0).any() or (stamps < params["startTime"] * 1000).any():
            raise SourceError(f"{self._where}: the klines are not those that were asked for.")
        return page

"""Finnhub: FX candles (/forex/candle) and headlines (/news?category=forex). https://finnhub.io/docs/api"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.sources import answers, needs, news_content
from fx_assets.sources.http import HttpSession, session_limits
from fx_assets.sources.options import Finnhub
from fx_serving.client import clock

GRANULARITIES = {"M1": "1", "M5": "5", "M15": "15", "M30": "30", "H1": "60", "D": "D"}
PAGE = {"D": timedelta(days=365)}
INTRADAY_PAGE = timedelta(days=28)  # one answer holds a month of intraday bars
COLUMNS = ("open", "high", "low", "close", "volume")


class _Candles(msgspec.Struct):
    s: str
    t: list[int] = []
    o: list[float] = []
    h: list[float] = []
    l: list[float] = []  # noqa: E741
    c: list[float] = []
    v: list[float] = []


class _Article(msgspec.Struct):
    datetime: int
    headline: str
    source: str = ""


class FinnhubSource:
    """Candles of OANDA's prices by default; another venue's symbol (FX:EURUSD) is passed on as it is."""

    def __init__(self, name: str, options: Finnhub):
        self.name = name
        key = needs.secret(name, options.key_env)
        limits = session_limits(options.url, options.requests_per_s)
        self._session = HttpSession(
            name, options, base_url=options.url, headers={"X-Finnhub-Token": key}, limiter=limits, secrets=[key]
        )

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource."""
        resolution = answers.native_granularity(self.name, granularity, GRANULARITIES)
        symbol = f"OANDA:{instrument}" if answers.pair(instrument) else instrument
        parts, since, until = [answers.empty(COLUMNS)], start, min(end, clock.now())
        while since < until:
            to = min(until, since + PAGE.get(granularity, INTRADAY_PAGE))
            # Both ends belong to Finnhub's range, in seconds; the next page begins where this one ends.
            params = {"symbol": symbol, "resolution": resolution, "from": _second(since), "to": _second(to) - 1}
            parts.append(self._page(self._session.get_json("/forex/candle", params, type=_Candles)))
            since = to
        bars = answers.whole(pd.concat(parts, ignore_index=True), granularity, start, end)
        return answers.checked(self.name, instrument, bars, granularity, start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource. Only what is there now: nothing for a session that does not hold the present."""
        now = clock.now()
        if not start <= now < end:
            return news_content.frame([])
        articles = self._session.get_json("/news", {"category": "forex"}, type=list[_Article])
        rows: list[tuple[Any, Any, str, str]] = [
            (pd.Timestamp(a.datetime, unit="s", tz="UTC"), now, a.headline, a.source) for a in articles
        ]
        found = news_content.current(news_content.frame(rows), start)
        return news_content.checked(self.name, found, start, end)

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def _page(self, page: _Candles) -> pd.DataFrame:
        if page.s == "no_data":
            return answers.empty(COLUMNS)
        lengths = {len(values) for values in (page.t, page.o, page.h, page.l, page.c, page.v)}
        if page.s != "ok" or len(lengths) != 1:
            raise self._session.error(
                "/forex/candle", f"status {page.s[:40]!r} and columns of {sorted(lengths)} values"
            )
        values: dict[str, Any] = dict(zip(COLUMNS, (page.o, page.h, page.l, page.c, page.v), strict=True))
        return answers.frame(np.asarray(page.t, dtype="int64") * 1_000_000, values)


def _second(moment: datetime) -> int:
    return -(-answers.micros(moment) // 1_000_000)

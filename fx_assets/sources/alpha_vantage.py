"""Alpha Vantage: FX candles (FX_INTRADAY, FX_DAILY) and headlines (NEWS_SENTIMENT).

https://www.alphavantage.co/documentation: errors and rate limits come as HTTP 200 with a message in place of data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from fx_assets.sources import answers, needs, news_content
from fx_assets.sources.base import OutOfHistory, SourceRefused
from fx_assets.sources.http import HttpSession, session_limits
from fx_assets.sources.options import AlphaVantage
from fx_serving.client import clock

GRANULARITIES = {"M1": "1min", "M5": "5min", "M15": "15min", "M30": "30min", "H1": "60min", "D": "daily"}
PRICES = {"1. open": "open", "2. high": "high", "3. low": "low", "4. close": "close"}
NEWS_LIMIT = 1000
_MESSAGES = ("Note", "Information", "Error Message")


class AlphaVantageSource:
    """Middle prices without volume. The key goes into the query, so it is kept out of every message."""

    def __init__(self, name: str, options: AlphaVantage):
        self.name = name
        key = needs.secret(name, options.key_env)
        self._key = key
        limits = session_limits(options.url, options.requests_per_s)
        self._session = HttpSession(name, options, base_url=options.url, limiter=limits, secrets=[key])

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Raises OutOfHistory for a range that begins before what the API still gives."""
        word = answers.native_granularity(self.name, granularity, GRANULARITIES)
        pair = answers.pair(instrument)
        if pair is None:
            raise SourceRefused(f"{self.name}: '{instrument}' is no pair of currencies such as EUR_USD.")
        if start >= min(end, clock.now()):
            return answers.empty()
        params = {"from_symbol": pair[0], "to_symbol": pair[1], "outputsize": "full"}
        if word == "daily":
            body = self._ask({"function": "FX_DAILY", **params})
            series = body.get("Time Series FX (Daily)")
        else:
            body = self._ask({"function": "FX_INTRADAY", "interval": word, **params})
            series = body.get(f"Time Series FX ({word})")
        try:
            bars = _bars(series)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._session.error("/query", "the answer holds no candles in the known form") from None
        if len(bars) and bars["time"].iloc[0] > pd.Timestamp(start):
            raise OutOfHistory(
                f"{self.name}: {instrument} {granularity} goes back to {bars['time'].iloc[0]} only, {start} was asked "
                "for. Name a source with a longer history in instruments.yaml."
            )
        whole = answers.whole(bars, granularity, start, end)
        return answers.checked(self.name, instrument, whole, granularity, start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource. Only what is there now: nothing for a session that does not hold the present."""
        now = clock.now()
        if not start <= now < end:
            return news_content.frame([])
        since = pd.Timestamp(start) - pd.Timedelta(hours=1)
        params = {"function": "NEWS_SENTIMENT", "topics": "economy_monetary,economy_macro,financial_markets"}
        body = self._ask({**params, "time_from": f"{since:%Y%m%dT%H%M}", "sort": "LATEST", "limit": NEWS_LIMIT}, "feed")
        try:
            rows = [
                (pd.to_datetime(e["time_published"], format="%Y%m%dT%H%M%S", utc=True), now, e["title"], e["source"])
                for e in body.get("feed", [])
            ]
            found = news_content.frame(rows)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._session.error("/query", "the answer holds no headlines in the known form") from None
        return news_content.checked(self.name, news_content.current(found, start), start, end)

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def _ask(self, params: dict[str, Any], wanted: str = "Time Series") -> dict[str, Any]:
        body = self._session.get_json("/query", {**params, "apikey": self._key}, type=dict[str, Any])
        if any(key.startswith(wanted) for key in body):
            return body
        said = str(next((body[key] for key in _MESSAGES if body.get(key)), ""))[:300]
        if "No articles found" in said:
            return {"feed": []}
        if body.get("Error Message") or "premium endpoint" in said:
            raise self._session.error("/query", f"refused: {said} Check symbol, key and plan.", refused=True)
        raise self._session.error("/query", f"no data in the answer. {said}".strip())


def _bars(series: Any) -> pd.DataFrame:
    """The series (newest first) as candles, oldest first; their times are UTC."""
    rows = sorted(series.items())
    times = pd.to_datetime([time for time, _ in rows], utc=True)
    columns = {ours: [float(row[theirs]) for _, row in rows] for theirs, ours in PRICES.items()}
    return answers.frame(times, columns)

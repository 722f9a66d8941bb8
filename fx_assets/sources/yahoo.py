"""Yahoo Finance charts, through yfinance: indicative prices without bid and ask, a fallback and nothing more.

yfinance keeps its session, cookies and caches for the whole process, and a failed answer among them. So its chart
reader is given connections of this source's own, made to look like a browser's (Yahoo refuses others).
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from fx_assets.sources import answers, needs
from fx_assets.sources.base import OutOfHistory, SourceError
from fx_assets.sources.http import session_limits
from fx_assets.sources.library import Passing, check_status, retried
from fx_assets.sources.options import Yahoo
from fx_serving.client import clock

GRANULARITIES = {"M1": "1m", "M5": "5m", "M15": "15m", "M30": "30m", "H1": "1h", "D": "1d"}
# How far back Yahoo keeps bars, and how many days one answer may span.
HISTORY = {"M1": 30, "M5": 60, "M15": 60, "M30": 60, "H1": 730}
PAGE_DAYS = {"M1": 7}
REQUESTS_PER_S = 2.0
NO_DATA = ("data doesn't exist for startdate", "no data found for this date range")


class YahooSource:
    """EUR_USD is asked for as EURUSD=X. Exchange rates have no volume at Yahoo; its zeros are left out."""

    def __init__(self, name: str, options: Yahoo):
        self.name, self.options = name, options
        self._reader: Any = needs.package(name, "yfinance.scrapers.history", "yahoo").PriceHistory
        self._charts = _Charts(name, options)

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Raises OutOfHistory for a range that begins before Yahoo's intraday history."""
        interval = answers.native_granularity(self.name, granularity, GRANULARITIES)
        now = clock.now()
        days = HISTORY.get(granularity)
        if days is not None and start < now - timedelta(days=days):
            raise OutOfHistory(
                f"{self.name}: Yahoo keeps {granularity} bars of the last {days} days only, {start} was asked for. "
                "Name a source with a longer history in instruments.yaml, or use D."
            )
        pair = answers.pair(instrument)
        symbol = f"{''.join(pair)}=X" if pair else instrument
        wanted = answers.MIDDLE if symbol.endswith("=X") else (*answers.MIDDLE, "volume")
        parts, since, until = [answers.empty(wanted)], start, min(end, now)
        while since < until:
            to = min(until, since + timedelta(days=PAGE_DAYS.get(granularity, 365 * 20)))
            parts.append(self._page(symbol, interval, since, to, wanted))
            since = to
        bars = answers.whole(pd.concat(parts, ignore_index=True), granularity, start, end)
        return answers.checked(self.name, instrument, bars, granularity, start, end)

    def close(self) -> None:
        """Give back the connections."""
        self._charts.close()

    def _page(
        self, symbol: str, interval: str, start: datetime, end: datetime, wanted: tuple[str, ...]
    ) -> pd.DataFrame:
        answer = _Answer(self._charts)
        try:
            # Yahoo's seconds: a page ends before the next one begins, whatever lies between two seconds.
            # The session is what it would make itself, and does not need: it asks through `answer`.
            found = self._reader(answer, symbol, "UTC", session=answer).history(
                start=pd.Timestamp(start).ceil("s"),
                end=pd.Timestamp(end).ceil("s"),
                interval=interval,
                prepost=True,
                actions=False,
                auto_adjust=False,
                timeout=self.options.timeout_s,
            )
        except Exception as error:
            raise answer.failure or self._charts.unknown(error) from None
        if answer.failure is not None:
            raise answer.failure
        if answer.no_data or found.empty:
            return answers.empty(wanted)
        times = pd.DatetimeIndex(found.index).tz_convert("UTC")
        bars = answers.frame(times, {name: found[name.capitalize()].to_numpy() for name in wanted})
        inside = (bars["time"] >= pd.Timestamp(start)) & (bars["time"] < pd.Timestamp(end))
        return bars[inside]  # Yahoo often adds the newest price to a range that has ended


class _Charts:
    """The connections: one browser-like session for each thread."""

    def __init__(self, name: str, options: Yahoo):
        self.options = options
        self._requests = needs.package(name, "curl_cffi.requests", "yahoo")
        self._threads = threading.local()
        self._open: list[Any] = []
        host = options.url or "https://query2.finance.yahoo.com"
        self.where = f"{name}: {urlsplit(host).hostname}"
        self._limits = session_limits(host, REQUESTS_PER_S if options.url is None else None)

    def get(self, url: str, params: dict[str, Any]) -> Any:
        """A chart that was answered with 200, or with words for an empty range."""
        if self.options.url:
            url = self.options.url.rstrip("/") + urlsplit(url).path
        return retried(self.where, self.options, lambda: self._once(url, params))

    def _once(self, url: str, params: dict[str, Any]) -> Any:
        session = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = self._requests.Session(impersonate="chrome")
            self._open.append(session)
        self._limits.requests.acquire()
        try:
            answer = session.get(url, params=params, timeout=self.options.timeout_s)
        except self._requests.exceptions.Timeout:
            raise Passing("no complete answer in time") from None
        except self._requests.exceptions.RequestException as error:
            raise Passing(f"cannot connect, or the connection broke (curl error {error.code})") from None
        if not any(words in answer.text.lower() for words in NO_DATA):
            check_status(self.where, answer.status_code, answer.headers.get("retry-after"), answer.content)
        return answer

    def unknown(self, error: Exception) -> SourceError:
        """For an answer that is no chart."""
        return SourceError(f"{self.where}: the answer holds no chart in the known form ({type(error).__name__}).")

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


class _Answer:
    """What yfinance's chart reader asks for its data, for one reading; keeps what the reader would swallow."""

    def __init__(self, charts: _Charts):
        self._charts = charts
        self.failure: SourceError | None = None
        self.no_data = False

    def get(self, url: str, params: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        try:
            answer = self._charts.get(url, params or {})
            self.no_data = _no_data(answer)
        except SourceError as error:
            self.failure = error
            raise
        except Exception as error:
            self.failure = self._charts.unknown(error)
            raise self.failure from None
        return answer

    cache_get = get


def _no_data(answer: Any) -> bool:
    """Whether a chart says that there are no bars in the range; ValueError, KeyError ... for what is no chart."""
    chart = answer.json()["chart"]
    if chart.get("error"):
        return any(words in str(chart["error"].get("description", "")).lower() for words in NO_DATA)
    return not chart["result"][0].get("timestamp")

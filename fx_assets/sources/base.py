"""The interface of a source, and which class answers for which kind."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from fx_assets.sources.options import SourceOptions

if TYPE_CHECKING:
    import pandas as pd

# Kind -> where its class is; loaded when it is asked for. Each class is made with (name, options).
CLASSES = {
    "sample": "fx_assets.sources.sample:SampleSource",
    "import": "fx_assets.sources.imported:ImportedCandles",
    "oanda": "fx_assets.sources.oanda:OandaCandles",
    "binance": "fx_assets.sources.binance:BinanceSource",
    "ib": "fx_assets.sources.ib:InteractiveBrokersSource",
    "yfinance": "fx_assets.sources.yahoo:YahooSource",
    "alpha_vantage": "fx_assets.sources.alpha_vantage:AlphaVantageSource",
    "finnhub": "fx_assets.sources.finnhub:FinnhubSource",
    "file": "fx_assets.sources.candle_files:FileSource",
    "synthetic": "fx_assets.sources.synthetic:SyntheticSource",
    "rss": "fx_assets.sources.rss:RssSource",
}


class CandleSource(Protocol):
    """Fetches candles of one instrument."""

    name: str

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame | None:
        """Complete candles whose bar open lies in [start, end), UTC; None when this source is not asked for any.

        Returns time (datetime64[us, UTC]), open, high, low, close and, where the source has them, volume,
        and bid and ask as bid_open ... ask_close; no rows when the market was closed. `instrument` in the form
        EUR_USD is turned into the source's own symbol; anything else is passed on as it is.
        Raises SourceError when it cannot tell.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class NewsSource(Protocol):
    """Fetches headlines."""

    name: str

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Headlines first seen in [start, end), UTC: published, first_seen, headline, source, article_count.

        published is what the publisher says, first_seen when it was collected; they are never mixed up.
        Raises SourceError when it cannot tell.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class SourceError(Exception):
    """A source that cannot answer now; the next one in the list is tried. Its words name source, cause and remedy."""


class SourceRefused(SourceError):
    """A source that will not answer: a wrong key, no permission, an instrument it does not have. Never retried."""


class OutOfHistory(SourceRefused):
    """A range that begins before what the source still holds. It may answer for a later one."""


def make_source(name: str, options: SourceOptions) -> Any:
    """The source that instruments.yaml calls `name`: a CandleSource, a NewsSource, or both."""
    module, _, cls = CLASSES[options.kind].partition(":")
    return getattr(import_module(module), cls)(name, options)

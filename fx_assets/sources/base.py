"""The interface of a source, and the sources that instruments.yaml may name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from fx_assets.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

# Name in instruments.yaml -> where the class is; loaded when it is asked for.
CANDLE_SOURCES = {
    "sample": "fx_assets.sources.sample:SampleSource",
    "import": "fx_assets.sources.imported:ImportedCandles",
}
NEWS_SOURCES = {"sample": "fx_assets.sources.sample:SampleSource"}


class CandleSource(Protocol):
    """Fetches candles of one instrument."""

    name: str

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame | None:
        """Complete candles whose bar open lies in [start, end), UTC; None when this source is not asked for any.

        Returns time (datetime64[us, UTC]), open, high, low, close and, where the source has them, volume,
        bid_close, ask_close; no rows when the market was closed. Raises SourceError when it cannot tell.
        """
        ...


class NewsSource(Protocol):
    """Fetches headlines."""

    name: str

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Headlines first seen in [start, end), UTC: published, first_seen, headline, source, article_count."""
        ...


class SourceError(Exception):
    """A source that cannot answer; the next one in the instrument's list is tried."""


def candle_source(name: str) -> CandleSource:
    """The source that instruments.yaml calls `name`. Raises ConfigError listing the known ones."""
    return _made("candle", CANDLE_SOURCES, name)


def news_source(name: str) -> NewsSource:
    """The news source that instruments.yaml calls `name`. Raises ConfigError listing the known ones."""
    return _made("news", NEWS_SOURCES, name)


def _made(kind: str, known: Mapping[str, str], name: str) -> Any:
    if name not in known:
        raise ConfigError(f"instruments.yaml: sources: '{name}' is not a {kind} source. Use one of {', '.join(known)}.")
    module, _, cls = known[name].partition(":")
    return getattr(import_module(module), cls)()

"""Where candles and news come from: one interface, one file each."""

from fx_assets.sources.base import CandleSource, NewsSource, SourceError, SourceRefused, make_source

__all__ = ["CandleSource", "NewsSource", "SourceError", "SourceRefused", "make_source"]

"""Where candles and news come from: one interface, one file each."""

from fx_assets.sources.base import CandleSource, NewsSource, candle_source, news_source

__all__ = ["CandleSource", "NewsSource", "candle_source", "news_source"]

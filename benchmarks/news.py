"""How fast news become signals: the join to one-minute decision times, relevance, the search for repeated headlines.

CPU seconds of one thread. Generated: 177,000 headlines at random moments of the 1.3 million minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.report import Figure, median_s

SECTION = "news"
BARS, HEADLINES = 1_300_000, 177_000
START = pd.Timestamp("2018-01-01", tz="UTC").as_unit("us")
HOURS = (1, 6, 24)


def made_up(bars: int = BARS, headlines: int = HEADLINES) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """Headlines with what the signals of EUR_USD are made of, and one decision time a minute."""
    rng = np.random.default_rng(1)
    moments = np.sort(rng.integers(0, bars * 60_000_000, headlines))
    news = pd.DataFrame(
        {
            "available_at": pd.DatetimeIndex(START + pd.to_timedelta(moments, unit="us")).as_unit("us"),
            "sentiment": rng.uniform(-1, 1, headlines).round(4),
            "article_count": rng.integers(1, 4, headlines),
            "novelty": rng.random(headlines),
            "relevance_EUR": rng.choice([0.0, 0.0, 0.5, 1.0], headlines),
            "relevance_USD": rng.choice([0.0, 0.3, 0.9], headlines),
        }
    )
    return news, pd.date_range(START, periods=bars, freq="1min", unit="us")


def plain_pandas(news: pd.DataFrame, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Eight trailing aggregates as one writes them in pandas: time-based rolling windows over headlines and decision
    times together, and merge_asof for the age. Each headline counts as one article.
    """
    events = pd.Series(news["sentiment"].to_numpy(), index=pd.DatetimeIndex(news["available_at"]))
    both = pd.concat([events, pd.Series(np.nan, index=times)]).sort_index(kind="stable")
    decisions = both.isna().to_numpy()
    out = {}
    for hours in HOURS:
        window = both.rolling(f"{hours}h")
        out[f"count_{hours}"] = window.count().to_numpy()[decisions]
        out[f"mean_{hours}"] = window.mean().to_numpy()[decisions]
    out["deviation_24"] = both.rolling("24h").std(ddof=0).to_numpy()[decisions]
    known = pd.DataFrame({"available_at": news["available_at"], "last": news["available_at"]})
    last = pd.merge_asof(pd.DataFrame({"available_at": times}), known, on="available_at")["last"]
    out["age"] = ((times - pd.DatetimeIndex(last)) / pd.Timedelta(minutes=1)).to_numpy()
    return pd.DataFrame(out, index=times)


def texts(count: int = HEADLINES) -> list[str]:
    """Different headlines made of the words of the sample's real ones."""
    import fx_assets

    sample = pd.read_parquet(Path(fx_assets.__file__).parent / "sample" / "news.parquet")["headline"].tolist()
    rng = np.random.default_rng(2)
    words = np.array([word for text in sample for word in text.split()], dtype=object)
    sizes = rng.integers(8, 16, count)
    picked = words[rng.integers(0, len(words), int(sizes.sum()))]
    return [" ".join(part) for part in np.split(picked, np.cumsum(sizes)[:-1])]


def _cpu(work: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return once


def measure() -> Iterator[Figure]:
    """CPU time of each step, after the kernels are compiled."""
    from fx_assets.gold.join import known_news
    from fx_assets.news import news_signals, relevance, repeats

    news, times = made_up()
    news_signals(news.head(100), times[:100], "EUR_USD")
    how = f"{len(times):,} one-minute decision times, {len(news):,} headlines"
    market = median_s(_cpu(lambda: news_signals(news, times)), 5)
    plain = median_s(_cpu(lambda: plain_pandas(news, times)), 1)
    both = median_s(_cpu(lambda: news_signals(news, times, "EUR_USD")), 3)
    yield Figure(SECTION, "all-news signals", market, "s CPU", f"14 signals, {how}")
    yield Figure(
        SECTION, "against plain pandas", plain / market, "times", "8 aggregates by rolling and merge_asof there"
    )
    yield Figure(SECTION, "with an instrument's", both, "s CPU", f"23 signals, {how}")
    found = news_signals(news, times).reset_index(names="available_at").assign(instrument="EUR_USD")
    bars = pd.DataFrame({"instrument": "EUR_USD", "available_at": times + pd.Timedelta(seconds=30)})
    names = [name for name in found.columns if name.startswith("news_")]
    joined = median_s(_cpu(lambda: known_news(bars, found, names)), 3)
    yield Figure(SECTION, "as-of join of the rows", joined, "s CPU", f"{len(bars):,} bars, {len(names)} signals")
    headlines = pd.DataFrame({"available_at": news["available_at"], "headline": texts()})
    repeats(headlines.head(100))
    matched = median_s(_cpu(lambda: relevance(headlines["headline"])), 3)
    searched = median_s(_cpu(lambda: repeats(headlines)), 3)
    yield Figure(SECTION, "relevance", len(news) / matched, "headlines/s", "8 to 15 words each")
    yield Figure(SECTION, "repeated headlines", len(news) / searched, "headlines/s", "196 a day, 24 h compared")
    yield Figure(SECTION, "both", len(news) / (matched + searched), "headlines/s", "one after the other")

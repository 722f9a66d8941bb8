"""Sentiment of headlines, and what the news of the last hours adds up to at a decision time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features.blocks import MINUTE_US, time_us

WINDOWS_HOURS = (1, 6, 24)
HALF_LIFE_HOURS = 6
# The age of the last headline stops growing here; decayed sentiment looks back as far.
AGE_CAP_MINUTES = 72 * 60
NEWS_SIGNALS: tuple[str, ...] = (
    *(f"news_{figure}_{hours}h" for hours in WINDOWS_HOURS for figure in ("count", "sentiment", "dispersion")),
    "news_sentiment_decayed",
    "news_age_minutes",
)

# Valence (-4..4) of words that general-purpose VADER does not know, or reads differently from a market
# report.
FINANCE_VOCABULARY: dict[str, float] = {
    "rally": 2.2, "rallies": 2.2, "rallied": 2.2, "surge": 2.4, "surges": 2.4, "surged": 2.4, "soar": 2.6,
    "soars": 2.6, "soared": 2.6, "jump": 1.6, "jumps": 1.6, "jumped": 1.6, "climb": 1.3, "climbs": 1.3,
    "climbed": 1.3, "gain": 1.6, "gains": 1.6, "rebound": 1.7, "rebounds": 1.7, "rebounded": 1.7,
    "upbeat": 2.0,
    "bullish": 2.3, "outperform": 1.8, "outperforms": 1.8, "upgrade": 1.8, "upgrades": 1.8, "upgraded": 1.8,
    "dovish": 0.6, "easing": 0.6, "stimulus": 1.0, "recovery": 1.5, "beats": 1.4, "record-high": 1.8,
    "slump": -2.3, "slumps": -2.3, "slumped": -2.3, "plunge": -2.7, "plunges": -2.7, "plunged": -2.7,
    "tumble": -2.3, "tumbles": -2.3, "tumbled": -2.3, "slide": -1.6, "slides": -1.6, "slid": -1.6,
    "sink": -1.9,
    "sinks": -1.9, "sank": -1.9, "fall": -1.3, "falls": -1.3, "fell": -1.3, "drop": -1.3, "drops": -1.3,
    "selloff": -2.2, "sell-off": -2.2, "rout": -2.4, "bearish": -2.3, "downgrade": -1.9, "downgrades": -1.9,
    "downgraded": -1.9, "underperform": -1.8, "recession": -2.6, "inflation": -0.8, "hawkish": -0.6,
    "tightening": -0.6, "default": -2.2, "defaults": -2.2, "bankruptcy": -3.0, "deficit": -1.0,
    "tariff": -1.1,
    "tariffs": -1.1, "sanctions": -1.5, "misses": -1.4, "slowdown": -1.7, "volatile": -0.9, "contagion": -2.2,
    "turmoil": -2.2, "downturn": -2.0, "layoffs": -1.8, "hike": -0.4, "hikes": -0.4,
    # Everyday feelings elsewhere, plain nouns here.
    "share": 0.0, "shares": 0.0, "gross": 0.0, "interest": 0.0, "trust": 0.0, "treasury": 0.0, "bond": 0.0,
}  # fmt: skip


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    analyzer.lexicon.update(FINANCE_VOCABULARY)
    return analyzer


def score_headlines(headlines: list[str]) -> np.ndarray:
    """Compound sentiment of each headline, float64 (n,) in [-1, 1]; 0 for an empty or missing one.

    Source: Hutto and Gilbert (2014), "VADER", with FINANCE_VOCABULARY added to its lexicon.
    """
    analyzer = _analyzer()
    return np.array(
        [
            analyzer.polarity_scores(text)["compound"] if isinstance(text, str) and text.strip() else 0.0
            for text in headlines
        ],
        dtype=float,
    )


def news_signals(news: pd.DataFrame, decision_times: pd.DatetimeIndex) -> pd.DataFrame:
    """What the news known at each decision time adds up to.

    news: available_at (tz-aware, first moment known), sentiment in [-1, 1], optional article_count (1
        otherwise); any order. A row counts at a decision time if available_at <= decision time, and for
        `hours` hours.
    decision_times: tz-aware, any order.
    Returns a frame indexed by decision_times, float64: per window of 1, 6 and 24 hours news_count (articles),
    news_sentiment (mean) and news_dispersion (standard deviation), news_sentiment_decayed (half life 6 hours)
    and news_age_minutes (since the last headline, at most AGE_CAP_MINUTES). Without news: 0, and the capped
    age.
    Raises DataError for a missing column or a time without zone.
    """
    from fx_assets.features.kernels import trailing_events

    missing = [c for c in ("available_at", "sentiment") if c not in news.columns]
    if missing:
        raise DataError(f"news: column(s) {', '.join(missing)} missing. Pass available_at and sentiment.")
    if not isinstance(news["available_at"].dtype, pd.DatetimeTZDtype) or decision_times.tz is None:
        raise DataError("news.available_at and the decision times need a time zone. Localise them to UTC first.")
    event = time_us(news["available_at"])
    value = np.nan_to_num(news["sentiment"].to_numpy(float))
    mass = np.ones(len(news))
    if "article_count" in news:
        mass = np.maximum(np.nan_to_num(news["article_count"].to_numpy(float)), 0.0)
    # A full order, so that rows arriving in another order give the same bits.
    order = np.lexsort((mass, value, event))
    event, value, mass = event[order], value[order], mass[order]
    moment = time_us(decision_times)
    hour_us = 60 * MINUTE_US
    out: dict[str, np.ndarray] = {}
    for hours in WINDOWS_HOURS:
        figures = trailing_events(event, value, mass, moment, hours * hour_us, float(HALF_LIFE_HOURS * hour_us))
        for column, figure in enumerate(("count", "sentiment", "dispersion")):
            out[f"news_{figure}_{hours}h"] = figures[:, column]
    cap_us = AGE_CAP_MINUTES * MINUTE_US
    decayed = trailing_events(event, value, mass, moment, cap_us, float(HALF_LIFE_HOURS * hour_us))
    out["news_sentiment_decayed"] = decayed[:, 3]
    last = np.searchsorted(event, moment, side="right") - 1
    age = (
        np.where(last >= 0, moment - event[np.maximum(last, 0)], cap_us) if len(event) else np.full(len(moment), cap_us)
    )
    out["news_age_minutes"] = np.minimum(age / MINUTE_US, AGE_CAP_MINUTES)
    return pd.DataFrame({name: out[name] for name in NEWS_SIGNALS}, index=decision_times)

"""News without Dagster and without storage: which currencies a headline is about, whether it is new, and what the
headlines known at a decision time add up to.

entities.py holds the words, relevance.py the matcher, duplicates.py what repeats what, signals.py and kernels.py the
signals, spec.py their declarations. Sentiment is fx_assets.sentiment.
"""

from fx_assets.news.duplicates import repeats
from fx_assets.news.entities import ENTITIES, instrument_entities
from fx_assets.news.relevance import COLUMNS as RELEVANCE
from fx_assets.news.relevance import relevance
from fx_assets.news.signals import news_signals, signals_of
from fx_assets.news.spec import NEWS_SIGNALS, SIGNALS, SignalSpec

__all__ = [
    "ENTITIES",
    "NEWS_SIGNALS",
    "RELEVANCE",
    "SIGNALS",
    "SignalSpec",
    "instrument_entities",
    "news_signals",
    "relevance",
    "repeats",
    "signals_of",
]

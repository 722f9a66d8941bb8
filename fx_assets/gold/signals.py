"""gold/news_signals: what the news added up to at each decision time of some sessions, for each instrument."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fx_assets.gold.join import decision_times
from fx_assets.news import ENTITIES, NEWS_SIGNALS, instrument_entities, signals_of
from fx_assets.sessions import session_bounds

MICROSECOND = pd.Timedelta(microseconds=1)


def signal_columns(instruments: Sequence[str]) -> list[str]:
    """The columns of silver/news_sentiment that the signals of these instruments are made of."""
    wanted = {entity for instrument in instruments for entity in instrument_entities(instrument)}
    relevance = [f"relevance_{entity}" for entity in ENTITIES if entity in wanted]
    return ["available_at", "article_count", "sentiment", "novelty", "duplicate_of", *relevance]


def signal_table(news: pd.DataFrame, sessions: Sequence[str], minutes: int, instruments: Sequence[str]) -> pd.DataFrame:
    """instrument, time, available_at and the news signals of every interval of `minutes` in the sessions.

    news: signal_columns of the sessions and of those before them that NEWS_LOOKBACK asks for.
    A headline of the very moment a session ends is the next session's, in every run.
    """
    times, known = [], []
    for start, end in map(session_bounds, sorted(sessions)):
        of_session = decision_times(pd.Timestamp(start), pd.Timestamp(end), minutes)
        times.append(of_session)
        known.append(of_session.where(of_session < pd.Timestamp(end), pd.Timestamp(end) - MICROSECOND))
    decisions = times[0].append(times[1:]).as_unit("us")
    found = signals_of(news, decisions, tuple(sorted(instruments)), known[0].append(known[1:]).as_unit("us"))
    opened = decisions - pd.Timedelta(minutes=minutes)
    parts = [
        signals.reset_index(drop=True).assign(instrument=instrument, time=opened, available_at=decisions)
        for instrument, signals in found.items()
    ]
    return pd.concat(parts, ignore_index=True)[["instrument", "time", "available_at", *NEWS_SIGNALS]]

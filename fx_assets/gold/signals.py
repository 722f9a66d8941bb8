"""gold/news_signals: what the news added up to at each decision time of some sessions, for each instrument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    symbols = tuple(sorted(instruments))
    found = signals_of(news, decisions, symbols, known[0].append(known[1:]).as_unit("us"))
    # One instrument's row beside the other's, as the table is stored: nothing has to be put in order afterwards.
    columns: dict[str, object] = {
        "instrument": np.tile(np.array(symbols, dtype=object), len(decisions)),
        "time": (decisions - pd.Timedelta(minutes=minutes)).repeat(len(symbols)),
        "available_at": decisions.repeat(len(symbols)),
    }
    for name in NEWS_SIGNALS:
        columns[name] = np.stack([found[symbol][name].to_numpy() for symbol in symbols], axis=1).ravel()
    return pd.DataFrame(columns, copy=False)

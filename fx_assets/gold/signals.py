"""gold/news_signals: what the news added up to at each decision time of some sessions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fx_assets.features.blocks import MINUTE_US, moment_us, time_us
from fx_assets.features.news import AGE_CAP_MINUTES, NEWS_SIGNALS, news_signals
from fx_assets.gold.join import decision_times
from fx_assets.sessions import session_bounds


def signal_table(news: pd.DataFrame, sessions: Sequence[str], minutes: int) -> pd.DataFrame:
    """time, available_at and the news signals of every interval of `minutes` in the sessions.

    news: available_at and what news_signals needs, of the sessions and those of three days before each of them.
    A headline of the very moment a session ends is the next session's, in every run.
    """
    ordered = news.sort_values("available_at", kind="stable", ignore_index=True)
    known = pd.Index(time_us(ordered["available_at"]))
    length, parts = pd.Timedelta(minutes=minutes), []
    for start, end in map(session_bounds, sessions):
        times = decision_times(pd.Timestamp(start), pd.Timestamp(end), minutes)
        # Nothing older counts: neither in a window nor for the age, which is capped.
        oldest = moment_us(start) - AGE_CAP_MINUTES * MINUTE_US
        first, last = known.searchsorted([oldest, moment_us(end)])
        signals = news_signals(ordered.iloc[first:last], times)
        parts.append(signals.assign(available_at=times, time=times - length))
    found = pd.concat(parts, ignore_index=True)
    return found[["time", "available_at", *NEWS_SIGNALS]]

"""The check `no_lookahead` of the gold tables that are made of more than candles: their inputs cut at a moment.

How rows are compared is in fx_assets/silver/lookahead_check.py; here is what is taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.features.blocks import moment_us, time_us
from fx_assets.features.truncation import known_us
from fx_assets.inputs import NEWS_LOOKBACK
from fx_assets.schemas import LAGS
from fx_assets.sessions import news_bounds
from fx_assets.silver.lookahead_check import available_us, cuts_of, problems_at, recent_rows


@dataclass(frozen=True)
class FeatureInputs:
    """What gold/features is made of. history: the features that are lagged, earlier sessions included. own: the tables
    that are put side by side. news: gold/news_signals. All but history has available_at.
    """

    history: pd.DataFrame
    own: Sequence[pd.DataFrame]
    news: pd.DataFrame

    def of_session(self, made: pd.DataFrame, minutes: Mapping[str, int]) -> FeatureInputs:
        """What the rows of one session, `made`, can be made of, and all news."""
        time = time_us(made["time"])
        first, last = int(time.min()), int(time.max())

        def inside(rows: pd.DataFrame) -> pd.DataFrame:
            moments = time_us(rows["time"])
            return _rows(rows, (moments >= first) & (moments <= last))

        history = _rows(self.history, time_us(self.history["time"]) <= last)
        return FeatureInputs(recent_rows(history, first, max(LAGS), minutes), [*map(inside, self.own)], self.news)

    def known_at(self, moment: int, minutes: Mapping[str, int]) -> FeatureInputs:
        """What of it was known at a moment, microseconds since 1970."""
        own = [_rows(rows, available_us(rows) <= moment) for rows in self.own]
        history = _rows(self.history, known_us(self.history, minutes) <= moment)
        return FeatureInputs(history, own, _rows(self.news, available_us(self.news) <= moment))


def feature_problems(
    make: Callable[[FeatureInputs], pd.DataFrame],
    inputs: FeatureInputs,
    made: pd.DataFrame,
    seed: str,
    minutes: Mapping[str, int],
) -> list[str] | None:
    """What of a session's rows of gold/features depends on what became known later; None where nothing comes later.

    make: inputs -> the session's rows. inputs: what the rows of the whole chunk were made of. made: the session's rows.
    """
    known = np.concatenate([available_us(rows) for rows in (*inputs.own, inputs.news)])
    cuts, own = cuts_of(made, available_us, known, seed), inputs.of_session(made, minutes)
    return problems_at(lambda moment: make(own.known_at(moment, minutes)), made, cuts, available_us)


def recent_news(headlines: pd.DataFrame, key: str, calendar: Sequence[str]) -> pd.DataFrame:
    """Without the headlines that are too old for a session's signals."""
    first = calendar[max(0, calendar.index(key) - NEWS_LOOKBACK)]
    return _rows(headlines, available_us(headlines) >= moment_us(news_bounds(first)[0]))


def news_problems(
    make: Callable[[pd.DataFrame], pd.DataFrame], headlines: pd.DataFrame, made: pd.DataFrame, seed: str
) -> list[str] | None:
    """What of a session's rows of gold/news_signals depends on later headlines; None where no headline comes later.

    Cut where it is felt, beside where `cuts_of` says: at the last decision before the session's first headline, and
    before its last one.
    """
    known, decisions = available_us(headlines), np.unique(available_us(made))
    within = np.sort(known[(known > decisions[0]) & (known <= decisions[-1])])
    before = np.searchsorted(decisions, [*within[:1], *within[-1:]], side="left") - 1
    cuts = sorted({*cuts_of(made, available_us, known, seed), *decisions[before].tolist()})
    return problems_at(lambda moment: make(_rows(headlines, known <= moment)), made, cuts, available_us)


def _rows(frame: pd.DataFrame, wanted: np.ndarray) -> pd.DataFrame:
    return frame.loc[wanted].reset_index(drop=True)

"""How far a table's newest rows are behind the market: pure, for the asset checks and for `fx status` alike.

The lag is trading time, and not wall time: a Friday's last bar is not late on Sunday evening until the week's first
bar has closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.market_hours import Hours, market_hours

NEWS = "silver/news_sentiment"
ALL_NEWS = "all"
# Tables whose newest row is held against the calendar.
WATCHED = ("silver/candles", "gold/features", NEWS)
# An instrument without a row in so many of the newest sessions counts as having none.
SEARCH_SESSIONS = 10


@dataclass(frozen=True)
class Lag:
    """One instrument of one table. newest and expected: bar opens (of news: available_at, and now), UTC.

    lag_minutes: trading time for which there should be rows and are none; None where there is no row at all.
    """

    instrument: str
    newest: datetime | None
    expected: datetime | None
    lag_minutes: float | None
    limit_minutes: float
    is_open: bool

    @property
    def fresh(self) -> bool:
        """Whether the newest row is as new as it must be. Nothing is late before the market has ever been open."""
        return self.expected is None or (self.lag_minutes is not None and self.lag_minutes <= self.limit_minutes)

    @property
    def verdict(self) -> str:
        """In one word: fresh, late or empty."""
        if self.lag_minutes is None and self.expected is not None:
            return "empty"
        return "fresh" if self.fresh else "late"


def table_lags(lake: Lake, configuration: Configuration, table: str, now: datetime) -> list[Lag]:
    """The lag of every instrument in a table at a moment; of a news table, of all news as one."""
    limit = configuration.data.sla(table).max_lag_minutes
    instruments = configuration.instruments.instruments
    if table == NEWS:
        newest = newest_rows(lake, table, [ALL_NEWS]).get(ALL_NEWS)
        hours = market_hours(next(iter(instruments.values())).calendar)
        return [_news_lag(hours, newest, limit, now)]
    newest_of = newest_rows(lake, table, list(instruments))
    return [
        _bar_lag(symbol, market_hours(i.calendar), i.minutes, newest_of.get(symbol), limit, now)
        for symbol, i in instruments.items()
    ]


def newest_rows(lake: Lake, table: str, instruments: list[str]) -> dict[str, datetime]:
    """Time of each instrument's newest row (of news: available_at, under ALL_NEWS), from the newest sessions back."""
    column = "available_at" if table == NEWS else "time"
    found: dict[str, datetime] = {}
    for key in reversed(lake.keys(table)[-SEARCH_SESSIONS:]):
        frame = lake.read(table, [key], [column] if table == NEWS else ["instrument", column]).get(key)
        if frame is None or frame.empty:
            continue
        if table == NEWS:
            return {ALL_NEWS: frame[column].max().to_pydatetime()}
        for symbol, time in frame.groupby("instrument")[column].max().items():
            found.setdefault(str(symbol), time.to_pydatetime())
        if all(symbol in found for symbol in instruments):
            break
    return found


def _bar_lag(symbol: str, hours: Hours, minutes: int, newest: datetime | None, limit: float, now: datetime) -> Lag:
    """Bars that should have closed since the newest one there is, times their length."""
    expected = hours.newest_closed_bar(now, minutes)
    lag = None
    if newest is not None and expected is not None:
        after = newest + timedelta(microseconds=1)
        missing = hours.expected_bars(after, expected + timedelta(microseconds=1), minutes) if after <= expected else []
        lag = float(len(missing) * minutes)
    return Lag(symbol, newest, expected, lag, limit, hours.is_open(now))


def _news_lag(hours: Hours, newest: datetime | None, limit: float, now: datetime) -> Lag:
    """Trading time since the newest headline was known."""
    lag = None
    if newest is not None:
        open_ = hours.open_intervals(newest, now)
        lag = float((open_["close"] - open_["open"]).sum() / pd.Timedelta(minutes=1))
    return Lag("news", newest, now, lag, limit, hours.is_open(now))


def lag_table(lags: list[Lag]) -> str:
    """The lags as a Markdown table."""

    def moment(value: datetime | None) -> str:
        return "-" if value is None else f"{value:%Y-%m-%d %H:%M}"

    lines = [
        "| instrument | newest | expected | lag (min) | limit | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for lag in lags:
        minutes = "-" if lag.lag_minutes is None else f"{lag.lag_minutes:g}"
        lines.append(
            f"| {lag.instrument} | {moment(lag.newest)} | {moment(lag.expected)} | {minutes} | "
            f"{lag.limit_minutes:g} | {lag.verdict} |"
        )
    return "\n".join(lines)

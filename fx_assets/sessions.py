"""FX sessions as plain dates and times: no Dagster here.

A session runs from 17:00 to 17:00 New York and is named by the date it starts on. There is none that starts
on a Friday or Saturday; what happens between Friday's and Sunday's 17:00 belongs to Sunday's session, the
first in which it can be traded on. Where an instrument trades all week, every day starts a session instead.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
ROLLOVER_HOUR = 17
FRIDAY, SATURDAY = 4, 5


def session_dates(times: pd.Series | pd.DatetimeIndex, all_week: bool = False) -> pd.DatetimeIndex:
    """The session each UTC time belongs to, as dates without zone (datetime64[us]), same length.

    Raises TypeError when the times carry no time zone.
    """
    index = pd.DatetimeIndex(times)
    if index.tz is None:
        raise TypeError("session_dates needs times with a time zone (UTC)")
    local = index.tz_convert(NEW_YORK).tz_localize(None)
    start = (local - pd.Timedelta(hours=ROLLOVER_HOUR)).normalize()
    if all_week:
        return start.as_unit("us")
    weekday = start.weekday
    shift = (weekday == FRIDAY) * 2 + (weekday == SATURDAY) * 1
    return (start + pd.to_timedelta(shift, unit="D")).as_unit("us")


def session_keys(times: pd.Series | pd.DatetimeIndex, all_week: bool = False) -> pd.Index:
    """As session_dates, but as the keys that partitions use (YYYY-MM-DD strings)."""
    dates = session_dates(times, all_week)
    codes, unique = pd.factorize(dates)
    return pd.Index([day.strftime("%Y-%m-%d") for day in unique], dtype=object).take(codes)


def session_bounds(key: str) -> tuple[datetime, datetime]:
    """Start and end of a session, both aware and in UTC; the end is exclusive."""
    day = date.fromisoformat(key)
    start, end = (
        datetime(d.year, d.month, d.day, ROLLOVER_HOUR, tzinfo=NEW_YORK) for d in (day, day + timedelta(days=1))
    )
    utc = ZoneInfo("UTC")
    return start.astimezone(utc), end.astimezone(utc)


def running_session(now: datetime, all_week: bool = False) -> str:
    """Key of the session that a moment falls into; at a weekend the coming one, in which it can be traded on.

    Raises TypeError when `now` carries no time zone.
    """
    return session_keys(pd.DatetimeIndex([now]), all_week)[0]


def previous_session(key: str, all_week: bool = False) -> str:
    """Key of the session before another one."""
    day = date.fromisoformat(key) - timedelta(days=1)
    while not all_week and day.weekday() in (FRIDAY, SATURDAY):
        day -= timedelta(days=1)
    return day.isoformat()


def news_bounds(key: str, all_week: bool = False) -> tuple[datetime, datetime]:
    """As session_bounds, but Sunday's session also takes the weekend before it, unless that has its own sessions."""
    start, end = session_bounds(key)
    if not all_week and date.fromisoformat(key).weekday() == 6:
        start, _ = session_bounds((date.fromisoformat(key) - timedelta(days=2)).isoformat())
    return start, end


def is_session(key: str) -> bool:
    """Whether a date names a session (Sunday to Thursday)."""
    return date.fromisoformat(key).weekday() not in (FRIDAY, SATURDAY)

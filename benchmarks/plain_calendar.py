"""The calendar in plain pandas; see plain_pandas.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.plain_technical import Columns

CENTRES = {
    "sydney_open": ("Australia/Sydney", 8, 17),
    "tokyo_open": ("Asia/Tokyo", 9, 18),
    "london_open": ("Europe/London", 8, 17),
    "new_york_open": ("America/New_York", 8, 17),
}


def calendar(bars: pd.DataFrame) -> Columns:
    """The group calendar."""
    local = bars["time"].dt.tz_convert("America/New_York")
    wall = local.dt.tz_localize(None)
    minute = local.dt.hour * 60 + local.dt.minute
    weekday = local.dt.weekday
    close = wall.dt.normalize() + pd.Timedelta(hours=17)
    close = close.where(close > wall, close + pd.Timedelta(days=1))
    friday = wall.dt.normalize() + pd.to_timedelta(4 - weekday, unit="D") + pd.Timedelta(hours=17)
    friday = friday.where(friday > wall, friday + pd.Timedelta(days=7))
    out = {
        "hour_sin": np.sin(2 * np.pi * minute / 1440),
        "hour_cos": np.cos(2 * np.pi * minute / 1440),
        "weekday_sin": np.sin(2 * np.pi * weekday / 7),
        "weekday_cos": np.cos(2 * np.pi * weekday / 7),
        "minutes_to_session_close": (close - wall).dt.total_seconds() / 60,
        "minutes_to_week_close": (friday - wall).dt.total_seconds() / 60,
        "week_of_month": (local.dt.day - 1) // 7 + 1.0,
        "weekdays_to_month_end": _weekdays_left(wall),
    }
    for name, (zone, opens, closes) in CENTRES.items():
        there = bars["time"].dt.tz_convert(zone)
        hours = there.dt.hour.between(opens, closes - 1)
        out[name] = (hours & (there.dt.weekday < 5)).astype(float)
    out["tokyo_london_overlap"] = out["tokyo_open"] * out["london_open"]
    out["london_new_york_overlap"] = out["london_open"] * out["new_york_open"]
    return {**out, **_holidays(bars["time"])}


def _weekdays_left(wall: pd.Series) -> pd.Series:
    """Mondays to Fridays after this day in its month."""
    day = wall.dt.normalize()
    after = (day + pd.Timedelta(days=1)).to_numpy().astype("datetime64[D]")
    end = (day + pd.offsets.MonthBegin(1)).to_numpy().astype("datetime64[D]")
    return pd.Series(np.busday_count(after, end).astype(float), index=wall.index)


def _holidays(time: pd.Series) -> Columns:
    """Days to the next and since the last Christmas or New Year closure, 0 inside one, at most 14."""
    years = range(int(time.dt.year.min()) - 1, int(time.dt.year.max()) + 2) if len(time) else ()
    shut = sorted(_closure(day) for year in years for day in (f"{year}-01-01", f"{year}-12-25"))
    begins, ends = (pd.DatetimeIndex(moments, tz="UTC").as_unit("us") for moments in zip(*shut, strict=True))
    utc = time.dt.tz_convert("UTC").dt.as_unit("us")
    following, last = ends.searchsorted(utc, side="right"), begins.searchsorted(utc, side="right") - 1
    ahead = (pd.Series(begins[following], index=time.index) - utc) / pd.Timedelta(days=1)
    behind = (utc - pd.Series(ends[last], index=time.index)) / pd.Timedelta(days=1)
    return {"days_to_holiday": ahead.clip(0, 14), "days_since_holiday": behind.clip(0, 14)}


def _closure(holiday: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """From 14:00 of the eve, New York, to 17:00 of the day; of a Sunday or a Monday, to 19:00 of the Monday."""
    day = pd.Timestamp(holiday)
    late = day + pd.Timedelta(days=(7 - day.weekday()) % 7, hours=19)
    until = late if day.weekday() in (6, 0) else day + pd.Timedelta(hours=17)
    begin, end = (t.tz_localize("America/New_York").tz_convert("UTC") for t in (day - pd.Timedelta(hours=10), until))
    return begin, end

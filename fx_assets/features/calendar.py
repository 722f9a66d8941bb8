"""Where in the trading day and week a bar opens: New York hour and weekday, time to the closes, open centres.

All figures refer to the bar's open and to wall clocks, so they follow daylight saving of the centre they
name. Public holidays are not known here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.blocks import Block, apply, wall_minute
from fx_assets.features.spec import FeatureSpec, declare

DAY, WEEK = 1440, 10080
SESSION_CLOSE = 17 * 60
# 1970-01-01 was a Thursday; minutes are shifted so that a week starts on Monday 00:00.
MONDAY_SHIFT = 3 * DAY
FRIDAY_CLOSE = 4 * DAY + SESSION_CLOSE
CENTRES = {
    "tokyo_open": ("Asia/Tokyo", 9 * 60, 18 * 60),
    "london_open": ("Europe/London", 8 * 60, 17 * 60),
    "new_york_open": ("America/New_York", 8 * 60, 17 * 60),
}


def _spec(name: str, unit: str, description: str) -> FeatureSpec:
    return declare("calendar", name, 1, unit, "", "definition", description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec("hour_sin", "-1..1", "Sine of the New York time of day"),
    _spec("hour_cos", "-1..1", "Cosine of the New York time of day"),
    _spec("weekday_sin", "-1..1", "Sine of the New York weekday"),
    _spec("weekday_cos", "-1..1", "Cosine of the New York weekday"),
    _spec("minutes_to_session_close", "minutes", "To 17:00 New York, 1..1440"),
    _spec("minutes_to_week_close", "minutes", "To Friday 17:00 New York, 1..10080"),
    _spec("week_of_month", "1..5", "Week of the New York month by day number (the first Friday is in week 1)"),
    _spec("tokyo_open", "0/1", "Tokyo 09:00 to 18:00, Monday to Friday"),
    _spec("london_open", "0/1", "London 08:00 to 17:00, Monday to Friday"),
    _spec("new_york_open", "0/1", "New York 08:00 to 17:00, Monday to Friday"),
    _spec("london_new_york_overlap", "0/1", "London and New York both open"),
)


def calendar_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the calendar group, sorted by both. Bars and errors: `blocks.apply`."""
    return apply(bars, [compute])


def compute(block: Block) -> dict[str, np.ndarray]:
    """The calendar features of one instrument, float64 (n,). Angles come from a table."""
    minute = block.new_york_minute
    of_day = minute % DAY
    weekday = (minute + MONDAY_SHIFT) // DAY % 7
    day_angle = 2.0 * np.pi * np.arange(DAY) / DAY
    week_angle = 2.0 * np.pi * np.arange(7) / 7
    to_week_close = (FRIDAY_CLOSE - (minute + MONDAY_SHIFT) % WEEK - 1) % WEEK + 1
    out = {
        "hour_sin": np.sin(day_angle)[of_day],
        "hour_cos": np.cos(day_angle)[of_day],
        "weekday_sin": np.sin(week_angle)[weekday],
        "weekday_cos": np.cos(week_angle)[weekday],
        "minutes_to_session_close": ((SESSION_CLOSE - of_day - 1) % DAY + 1).astype(float),
        "minutes_to_week_close": to_week_close.astype(float),
        "week_of_month": _week_of_month(minute // DAY),
    }
    for name, (zone, opens, closes) in CENTRES.items():
        local = minute if zone == "America/New_York" else wall_minute(block.time_us, zone)
        clock, day = local % DAY, (local + MONDAY_SHIFT) // DAY % 7
        out[name] = ((clock >= opens) & (clock < closes) & (day < 5)).astype(float)
    out["london_new_york_overlap"] = out["london_open"] * out["new_york_open"]
    return out


def _week_of_month(day: np.ndarray) -> np.ndarray:
    dates = day.astype("datetime64[D]")
    day_of_month = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    return (day_of_month // 7 + 1).astype(float)

"""Where in the trading day, week, month and year a bar opens: New York hour and weekday, time to the closes, open
centres, the month's end, the holidays of foreign exchange.

All figures refer to the bar's open and to wall clocks, so they follow daylight saving of the centre they name. They
are the same for every instrument. The holidays are the two that close the market, Christmas and New Year, by the rule
of fx_assets/market_hours/closures.py, which is known in advance; what a single year's record says is not used.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd

from fx_assets.features.blocks import Block
from fx_assets.features.spec import FeatureSpec, declare
from fx_assets.features.wall_clock import clock_changes
from fx_assets.market_hours.closures import closures

# Zone and opening hours, in minutes of the day, Monday to Friday. New York's clock also gives hour, week and month.
CENTRES = {
    "new_york_open": ("America/New_York", 8 * 60, 17 * 60),
    "london_open": ("Europe/London", 8 * 60, 17 * 60),
    "tokyo_open": ("Asia/Tokyo", 9 * 60, 18 * 60),
    "sydney_open": ("Australia/Sydney", 8 * 60, 17 * 60),
}
HOLIDAY_CAP = 14.0
DAY_US = 86_400_000_000
_WALL = (
    *("hour_sin", "hour_cos", "weekday_sin", "weekday_cos"),
    *("minutes_to_session_close", "minutes_to_week_close", "week_of_month", "weekdays_to_month_end"),
)
_YEARS = (2, 9998)  # for which a closure and a neighbouring year can be told


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
    _spec("weekdays_to_month_end", "weekdays", "Mondays to Fridays left in the New York month after this day, 0..22"),
    _spec("sydney_open", "0/1", "Sydney 08:00 to 17:00, Monday to Friday"),
    _spec("tokyo_open", "0/1", "Tokyo 09:00 to 18:00, Monday to Friday"),
    _spec("london_open", "0/1", "London 08:00 to 17:00, Monday to Friday"),
    _spec("new_york_open", "0/1", "New York 08:00 to 17:00, Monday to Friday"),
    _spec("tokyo_london_overlap", "0/1", "Tokyo and London both open"),
    _spec("london_new_york_overlap", "0/1", "London and New York both open"),
    _spec("days_to_holiday", "days", "To the next Christmas or New Year closure, 0 during one, at most 14"),
    _spec("days_since_holiday", "days", "Since the last Christmas or New Year closure, 0 during one, at most 14"),
)


def calendar_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the calendar group, sorted by both. Bars and errors: `compute_features`."""
    from fx_assets.features.engine import compute_features

    return compute_features(bars, ["calendar"])


def compute(block: Block) -> dict[str, np.ndarray]:
    """The calendar features of one instrument, float64 (n,), of its bar opens alone."""
    from fx_assets.features.kernels.calendar import clock_features, nearness

    times = np.ascontiguousarray(block.time_us)
    rows = np.empty((len(_WALL) + len(CENTRES) + 2, len(times)))
    if len(times):
        first, last = int(times[0]), int(times[-1])
        clock_features(times, *_clocks(first, last), *_tables(), rows[:-2])
        nearness(times, *_closed(first, last), float(DAY_US), HOLIDAY_CAP, rows[-2:])
    found = dict(zip((*_WALL, *CENTRES, "days_to_holiday", "days_since_holiday"), rows, strict=True))
    found["tokyo_london_overlap"] = found["tokyo_open"] * found["london_open"]
    found["london_new_york_overlap"] = found["london_open"] * found["new_york_open"]
    return {spec.name: found[spec.name] for spec in SPECS}


def _clocks(first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Clock changes of all centres' zones side by side, how many each has, and the opening hours."""
    changes = [clock_changes(zone, first, last) for zone, _, _ in CENTRES.values()]
    longest = max(len(starts) for starts, _ in changes)
    starts, offsets = np.zeros((2, len(changes), longest), np.int64)
    for row, (start, offset) in enumerate(changes):
        starts[row, : len(start)], offsets[row, : len(offset)] = start, offset
    counts = np.array([len(start) - 1 for start, _ in changes], np.int64)
    return starts, offsets, counts, np.array([hours for _, *hours in CENTRES.values()], np.int64)


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of each minute of the day and of each weekday: every row takes them from here."""
    day = 2.0 * np.pi * np.arange(1440) / 1440
    week = 2.0 * np.pi * np.arange(7) / 7
    return np.stack([np.sin(day), np.cos(day)], axis=1), np.stack([np.sin(week), np.cos(week)], axis=1)


def _closed(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the closures that can count for times from first to last."""
    years = [(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).year for moment in (first, last)]
    return _closed_years(max(years[0] - 1, _YEARS[0]), min(years[1] + 1, _YEARS[1]))


@lru_cache(maxsize=64)
def _closed_years(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    shut = [closure for year in range(first, last + 1) for closure in closures(year, recorded=False)]
    return np.array([c.start_us for c in shut], np.int64), np.array([c.end_us for c in shut], np.int64)

"""Compiled loop of the calendar group: one walk over the bars, a pointer into the clock changes of each zone.

Import this module inside functions (numba is heavy). Every row is worked out from its own time alone; pointers and
remembered dates only save work.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.kernels.compiled import stored

MINUTE_US = 60_000_000
DAY, WEEK = 1440, 10080
MONDAY_SHIFT = 3 * DAY  # 1970-01-01 was a Thursday; shifted minutes start their week on Monday 00:00
SESSION_CLOSE = 17 * 60
FRIDAY_CLOSE = 4 * DAY + SESSION_CLOSE
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@stored()
def month_place(day: int) -> tuple[int, int]:
    """Day of the month (1..31) and days in that month of a day counted from 1970-01-01, proleptic Gregorian."""
    # Years are counted from March, so that a leap day ends its year.
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * of_year + 2) // 153
    of_month = of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 2 if march_month < 10 else march_month - 10  # 0 is January
    year = year_of_era + era * 400 + (1 if month < 2 else 0)
    length = MONTH_DAYS[month]
    if month == 1 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)):
        length += 1
    return of_month, length


@stored()
def weekdays_left(weekday: int, days: int) -> int:
    """How many of the `days` days after one of weekday `weekday` (0 is Monday) are Monday to Friday."""
    count = days // 7 * 5
    for ahead in range(1, days % 7 + 1):
        if (weekday + ahead) % 7 < 5:
            count += 1
    return count


@stored()
def clock_features(
    time_us: np.ndarray,
    starts: np.ndarray,
    offsets: np.ndarray,
    last_change: np.ndarray,
    hours: np.ndarray,
    day_table: np.ndarray,
    week_table: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill out (8 + centres, n) from bar opens (UTC microseconds, rising).

    starts, offsets: (zones, changes) as of wall_clock.clock_changes, row 0 New York; last_change: (zones,) index of
    the last filled one. hours: (zones, 2) minutes of the day at which the centre of that zone opens and closes.
    day_table: (1440, 2), week_table: (7, 2) sines and cosines.
    """
    zones = starts.shape[0]
    at = np.zeros(zones, np.int64)
    known_day = np.int64(-1) << 60
    week_of_month = 0.0
    to_month_end = 0.0
    for i in range(time_us.shape[0]):
        now = time_us[i]
        for zone in range(zones):
            while at[zone] < last_change[zone] and starts[zone, at[zone] + 1] <= now:
                at[zone] += 1
            minute = (now + offsets[zone, at[zone]]) // MINUTE_US
            since_monday = (minute + MONDAY_SHIFT) % WEEK
            weekday = since_monday // DAY
            of_day = since_monday - weekday * DAY
            is_open = weekday < 5 and hours[zone, 0] <= of_day < hours[zone, 1]
            out[8 + zone, i] = 1.0 if is_open else 0.0
            if zone == 0:
                day = minute // DAY
                if day != known_day:
                    known_day = day
                    of_month, length = month_place(day)
                    week_of_month = float((of_month - 1) // 7 + 1)
                    to_month_end = float(weekdays_left(weekday, length - of_month))
                out[0, i] = day_table[of_day, 0]
                out[1, i] = day_table[of_day, 1]
                out[2, i] = week_table[weekday, 0]
                out[3, i] = week_table[weekday, 1]
                out[4, i] = float((SESSION_CLOSE - of_day - 1) % DAY + 1)
                out[5, i] = float((FRIDAY_CLOSE - since_monday - 1) % WEEK + 1)
                out[6, i] = week_of_month
                out[7, i] = to_month_end


@stored()
def nearness(time_us: np.ndarray, begins: np.ndarray, ends: np.ndarray, unit: float, cap: float, out: np.ndarray):
    """Fill out (2, n): time to the next interval and since the last one, in `unit` microseconds, at most `cap`.

    time_us rises; begins, ends: sorted, disjoint intervals [begin, end). Both figures are 0 inside one.
    """
    following = 0  # the first interval that ends after now
    for i in range(time_us.shape[0]):
        now = time_us[i]
        while following < ends.shape[0] and ends[following] <= now:
            following += 1
        ahead = cap
        behind = cap
        if following < begins.shape[0]:
            ahead = min(cap, max(0.0, (begins[following] - now) / unit))
            if begins[following] <= now:
                behind = 0.0
        if following > 0 and behind > 0.0:
            behind = min(cap, (now - ends[following - 1]) / unit)
        out[0, i] = ahead
        out[1, i] = behind

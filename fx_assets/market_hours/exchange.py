"""Exchanges, by exchange_calendars: sessions, lunch breaks, holidays, early closes and late opens."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.errors import ConfigError
from fx_assets.market_hours.hours import Hours, from_us, no_holidays

DAY_US = 86_400_000_000
# A calendar is made for whole decades: making one costs tenths of a second.
DECADE = 10


class ExchangeHours(Hours):
    """One exchange, by its code, such as XNYS. Raises ConfigError for a code that exchange_calendars does not have."""

    def __init__(self, code: str):
        import exchange_calendars

        if code not in exchange_calendars.get_calendar_names(include_aliases=True):
            raise ConfigError(f"calendar '{code}' is not known. Use fx, always, or an exchange's code such as XNYS.")
        self.name = code

    def _intervals(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        opens, closes = _trading(self.name, *_decades(from_us(start - 2 * DAY_US).year, from_us(end + 2 * DAY_US).year))
        # Disjoint and sorted, so that the closes are sorted too.
        first, last = np.searchsorted(closes, start, "right"), np.searchsorted(opens, end, "left")
        return opens[first:last], closes[first:last]

    def holidays(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See Hours: of a holiday the whole regular day, of an early close or late open what it takes from one."""
        calendar = _calendar(self.name, *_decades(start.year - 1, end.year + 1))
        names = _names(calendar)
        sessions, rows = calendar.schedule, []
        for day in pd.date_range(pd.Timestamp(start).tz_convert(None).normalize(), pd.Timestamp(end).tz_convert(None)):
            opened = _regular(calendar.open_times, day, calendar.tz, calendar.open_offset)
            closed = _regular(calendar.close_times, day, calendar.tz, calendar.close_offset)
            if day in sessions.index:
                row = sessions.loc[day]
                if row["close"] < closed and day in calendar.early_closes:
                    rows.append((names.get(day.date(), "early close"), "early close", row["close"], closed))
                if row["open"] > opened and day in calendar.late_opens:
                    rows.append((names.get(day.date(), "late open"), "late open", opened, row["open"]))
            elif _trades_on(sessions, day):
                rows.append((names.get(day.date(), "holiday"), "holiday", opened, closed))
        inside = [row for row in rows if row[3] > start and row[2] < end]
        if not inside:
            return no_holidays()
        frame = pd.DataFrame(inside, columns=pd.Index(["name", "kind", "start", "end"]))
        return frame.astype({"start": "datetime64[us, UTC]", "end": "datetime64[us, UTC]"})


def _names(calendar: Any) -> dict[date, str]:
    """The holidays that return every year, by date; closings for a single reason have no name."""
    if calendar.regular_holidays is None:
        return {}
    named = calendar.regular_holidays.holidays(calendar.first_session, calendar.last_session, return_name=True)
    return {day.date(): str(name) for day, name in named.items()}


def _trades_on(sessions: pd.DataFrame, day: pd.Timestamp) -> bool:
    """Whether that day of the week was traded in the three weeks before and again in those after.

    Not by the calendar's mask of weekdays: exchanges have changed their week, and the mask is today's.
    """
    weeks = [pd.Timedelta(days=7 * n) for n in (1, 2, 3)]
    index = sessions.index
    return any(day - w in index for w in weeks) and any(day + w in index for w in weeks)


def _regular(times: Any, day: pd.Timestamp, tz: Any, offset: int) -> pd.Timestamp:
    """When a regular session opens or closes; `times` lists (valid from, time), offset is in days from its date."""
    valid = [time for since, time in times if since is None or pd.Timestamp(since) <= day]
    moment = datetime.combine(day.date() + timedelta(days=offset), valid[-1])
    return pd.Timestamp(moment).tz_localize(tz).tz_convert("UTC")


def _decades(first: int, last: int) -> tuple[int, int]:
    return first - first % DECADE, last - last % DECADE + DECADE - 1


@cache
def _calendar(code: str, first: int, last: int) -> Any:
    """The calendar for the years first to last, as far as it is known."""
    import exchange_calendars

    known = exchange_calendars.get_calendar(code)
    start, end = pd.Timestamp(date(first, 1, 1)), pd.Timestamp(date(last, 12, 31))
    if (bound := known.bound_min()) is not None:
        start = max(start, bound)
    if (bound := known.bound_max()) is not None:
        end = min(end, bound)
    return exchange_calendars.get_calendar(code, start=start, end=end)


@cache
def _trading(code: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes of a span of years: sessions cut at their breaks, and joined where one follows at once."""
    schedule = _calendar(code, first, last).schedule
    breaks = schedule[schedule["break_start"].notna()]
    opens = _sorted_us(schedule["open"], breaks["break_end"])
    closes = _sorted_us(schedule["close"], breaks["break_start"])
    apart = opens[1:] > closes[:-1]
    return opens[np.concatenate([[True], apart])], closes[np.concatenate([apart, [True]])]


def _sorted_us(*columns: pd.Series) -> np.ndarray:
    return np.sort(
        np.concatenate([pd.DatetimeIndex(column).as_unit("us").astype("int64").to_numpy() for column in columns])
    )

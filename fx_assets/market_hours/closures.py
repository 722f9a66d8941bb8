"""Christmas and New Year in foreign exchange: when the market closed, year by year, and the rule for other years.

The recorded closures are what OANDA's hourly candles of EUR_USD and NZD_USD show for 2007 to 2018; docs/calendar.md
says how well they and the rule match. Times are New York's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

from fx_assets.sessions import NEW_YORK, ROLLOVER_HOUR

EARLY_CLOSE_HOUR, LATE_OPEN_HOUR = 14, 19
MONDAY, SUNDAY = 0, 6

# Year of the holiday -> (closed from, closed until). A recorded year that is missing here had the holiday at a weekend
# and lost no hour of a session; outside the recorded years the rule holds.
CHRISTMAS = {
    2007: ("2007-12-25 04:00", "2007-12-25 17:00"),
    2008: ("2008-12-25 04:00", "2008-12-25 17:00"),
    2009: ("2009-12-25 04:00", "2009-12-25 17:00"),
    2012: ("2012-12-24 14:00", "2012-12-26 08:00"),
    2013: ("2013-12-24 14:00", "2013-12-25 17:00"),
    2014: ("2014-12-24 14:00", "2014-12-25 17:00"),
    2015: ("2015-12-24 14:00", "2015-12-25 17:00"),
    2016: ("2016-12-25 17:00", "2016-12-26 18:00"),
    2017: ("2017-12-24 17:00", "2017-12-25 19:00"),
    2018: ("2018-12-24 17:00", "2018-12-25 19:00"),
}
NEW_YEAR = {
    2007: ("2006-12-31 17:00", "2007-01-01 16:00"),
    2008: ("2007-12-31 17:00", "2008-01-01 13:00"),
    2009: ("2008-12-31 17:00", "2009-01-01 13:00"),
    2010: ("2009-12-31 17:00", "2010-01-01 17:00"),
    2013: ("2012-12-31 14:00", "2013-01-02 00:00"),
    2014: ("2013-12-31 14:00", "2014-01-01 17:00"),
    2015: ("2014-12-31 14:00", "2015-01-01 17:00"),
    2016: ("2015-12-31 14:00", "2016-01-01 17:00"),
    2017: ("2016-12-30 14:00", "2017-01-02 18:00"),
    2018: ("2017-12-31 17:00", "2018-01-01 19:00"),
    2019: ("2018-12-31 17:00", "2019-01-01 17:00"),  # the record ends with the old year: the reopening is the rule's
}
RECORDED_CHRISTMAS, RECORDED_NEW_YEAR = range(2007, 2019), range(2007, 2020)


@dataclass(frozen=True)
class Closure:
    """No trading from start to end, aware and in UTC."""

    name: str
    start: datetime
    end: datetime

    @property
    def start_us(self) -> int:
        return (self.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    @property
    def end_us(self) -> int:
        return (self.end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@cache
def closures(year: int, recorded: bool = True) -> tuple[Closure, ...]:
    """The closures around the New Year's Day and the Christmas of a year; recorded=False applies the rule alone."""
    found = []
    for name, day, table, years in (
        ("New Year", date(year, 1, 1), NEW_YEAR, RECORDED_NEW_YEAR),
        ("Christmas", date(year, 12, 25), CHRISTMAS, RECORDED_CHRISTMAS),
    ):
        if recorded and year in years:
            if year in table:
                start, end = (datetime.fromisoformat(text).replace(tzinfo=NEW_YORK) for text in table[year])
                found.append(Closure(name, start.astimezone(UTC), end.astimezone(UTC)))
        else:
            found.append(_by_rule(name, day))
    return tuple(found)


def _by_rule(name: str, day: date) -> Closure:
    """From 14:00 of the eve to 17:00 of the day; where that is a Sunday or a Monday, to 19:00 of the Monday.

    A Monday's eve is a Sunday, whose session does not open at all. A Saturday's only costs Friday afternoon.
    """
    if day.weekday() in (SUNDAY, MONDAY):
        until = _new_york(day + timedelta(days=1 if day.weekday() == SUNDAY else 0), LATE_OPEN_HOUR)
    else:
        until = _new_york(day, ROLLOVER_HOUR)
    return Closure(name, _new_york(day - timedelta(days=1), EARLY_CLOSE_HOUR), until)


def _new_york(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=NEW_YORK).astimezone(UTC)

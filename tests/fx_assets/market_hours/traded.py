"""Hours that were really traded (tests/data/hours), and the comparison of a calendar with them."""

from datetime import timedelta
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parents[2] / "data" / "hours"
HOUR = timedelta(hours=1)

# Whole days, and one evening, that are missing from both pairs' files while the market was open: the feed's, not the
# market's. From and until, New York.
HOLES = (
    ("2016-12-11 17:00", "2016-12-16 00:00"),
    ("2017-03-31 00:00", "2017-03-31 17:00"),
    ("2017-10-06 00:00", "2017-10-06 17:00"),
    ("2018-06-08 00:00", "2018-06-08 17:00"),
    ("2018-10-28 17:00", "2018-10-28 20:00"),
    ("2018-12-25 19:00", "2018-12-26 19:00"),
)


def traded(instrument: str) -> pd.DatetimeIndex:
    """Opens of the hourly bars there are, UTC."""
    runs = pd.read_csv(FOLDER / f"{instrument}.csv", parse_dates=["first"])
    pairs = zip(runs["first"], runs["bars"], strict=True)
    hours = [pd.Series(pd.date_range(first, periods=int(bars), freq="h")) for first, bars in pairs]
    return pd.DatetimeIndex(pd.concat(hours)).as_unit("us")


def in_holes(times: pd.DatetimeIndex) -> pd.Series:
    """Whether each time lies in one of HOLES."""
    inside = pd.Series(False, index=times)
    for start, end in HOLES:
        first, last = (pd.Timestamp(text, tz="America/New_York") for text in (start, end))
        inside |= (times >= first) & (times < last)
    return inside


def compared(real: pd.DatetimeIndex, expected: pd.DatetimeIndex) -> tuple[dict[int, int], dict[int, int]]:
    """Hours by year that were traded while the calendar says closed, and that it says open without any trade.

    Known holes of the feed are not counted.
    """
    missed, invented = real.difference(expected), expected.difference(real)
    invented = invented[~in_holes(invented).to_numpy()]
    return _by_year(missed), _by_year(invented)


def _by_year(times: pd.DatetimeIndex) -> dict[int, int]:
    years = [int(year) for year in times.year]
    return {year: years.count(year) for year in sorted(set(years))}

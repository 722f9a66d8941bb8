"""What every market has in common, given only when it is open: next opening, expected bars, newest closed bar.

Times go in as aware datetimes and come out in UTC. Inside, a moment is an int64 of microseconds since 1970.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from fx_assets.sessions import NEW_YORK, ROLLOVER_HOUR

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
# Longer than any holiday: an opening or a bar that is not found in so many days does not exist.
SEARCH_DAYS = (8, 40)
HOLIDAY_COLUMNS = ("name", "kind", "start", "end")


class Hours(ABC):
    """When one market is open. Subclasses say only that; whatever follows from it is here."""

    name: str
    #: Whether bars of four hours and of a day start at 17:00 New York, as a broker's do, or at midnight UTC.
    session_grid = True

    @abstractmethod
    def _intervals(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Opens and closes (int64 microseconds) of every interval that overlaps [start, end): sorted, disjoint.

        They may reach beyond start and end.
        """

    def holidays(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Trading that a regular week would have and that does not take place in [start, end).

        Columns name, kind (holiday | early close | late open), start and end (UTC): no trading between these.
        """
        return no_holidays()

    def open_intervals(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Columns open and close (UTC): when the market is open within [start, end), cut at its ends."""
        first, last = to_us(start), to_us(end)
        opens, closes = self._intervals(first, last) if first < last else _nothing()
        opens, closes = np.maximum(opens, first), np.minimum(closes, last)
        kept = opens < closes
        return pd.DataFrame({"open": to_utc(opens[kept]), "close": to_utc(closes[kept])})

    def is_open(self, moment: datetime) -> bool:
        """Whether the market is open at a moment; at the very moment of closing it is not."""
        now = to_us(moment)
        opens, closes = self._intervals(now, now + 1)
        return bool(((opens <= now) & (now < closes)).any())

    def next_open(self, moment: datetime) -> datetime | None:
        """The first moment from `moment` on at which the market is open: `moment` itself while it is.

        None when it does not open within forty days.
        """
        now = to_us(moment)
        for days in SEARCH_DAYS:
            opens, closes = self._intervals(now, now + days * DAY_US)
            if len(opens := opens[closes > now]):
                return moment.astimezone(UTC) if opens[0] <= now else from_us(opens[0])
        return None

    def next_close(self, moment: datetime) -> datetime | None:
        """When the market, open at `moment`, closes; None while it is closed, and where it never closes."""
        now = to_us(moment)
        opens, closes = self._intervals(now, now + SEARCH_DAYS[0] * DAY_US)
        inside = (opens <= now) & (now < closes)
        if not inside.any() or (close := closes[inside][0]) >= now + SEARCH_DAYS[0] * DAY_US:
            return None
        return from_us(close)

    def expected_bars(self, start: datetime, end: datetime, minutes: int) -> pd.DatetimeIndex:
        """Opens (UTC) in [start, end) of the bars that should exist: those in which the market is open at all.

        minutes: length of a bar. Bars up to an hour start on multiples of their length; longer ones at 17:00 New
        York and every so many hours from there, or, where the market never closes, from midnight UTC.
        """
        first, last = to_us(start), to_us(end)
        if first >= last:
            return to_utc(np.array([], dtype="int64"))
        step = minutes * 60_000_000
        opens, closes = self._intervals(first - step, last + step)
        if not len(opens):
            return to_utc(np.array([], dtype="int64"))
        if minutes <= 60 or not self.session_grid:
            from_, to = opens // step, -(-closes // step)
            bars = _ranges(from_, to) * step
        else:
            grid = _session_grid(min(opens[0], first - step), max(closes[-1], last + step), step)
            from_, to = np.searchsorted(grid, opens, "right") - 1, np.searchsorted(grid, closes, "left")
            bars = grid[_ranges(from_, to)]
        return to_utc(bars[np.searchsorted(bars, first) : np.searchsorted(bars, last)])

    def newest_closed_bar(self, now: datetime, minutes: int) -> datetime | None:
        """Open of the newest expected bar that has ended by `now`; None when there was none for forty days."""
        length = timedelta(minutes=minutes)
        for days in SEARCH_DAYS:
            # A bar that opens at now - length ends now, and has closed.
            bars = self.expected_bars(
                now - length - timedelta(days=days), now - length + timedelta(microseconds=1), minutes
            )
            if len(bars):
                return bars[-1].to_pydatetime()
        return None


def no_holidays() -> pd.DataFrame:
    """An empty table of holidays."""
    times = pd.DatetimeIndex([], tz="UTC").as_unit("us")
    return pd.DataFrame(
        {"name": pd.Series(dtype=object), "kind": pd.Series(dtype=object), "start": times, "end": times}
    )


def to_us(moment: datetime) -> int:
    """Microseconds since 1970. Raises TypeError for a time without zone."""
    if moment.tzinfo is None:
        raise TypeError(f"market hours need times with a time zone (UTC), not {moment.isoformat()}")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_us(value: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(value))


def to_utc(values: np.ndarray) -> pd.DatetimeIndex:
    """Microseconds since 1970 as datetime64[us, UTC]."""
    return pd.DatetimeIndex(values.view("datetime64[us]"), tz="UTC")


def local_us(local: pd.DatetimeIndex) -> np.ndarray:
    """Wall times of New York (without zone, at an hour that no clock change touches) as microseconds since 1970."""
    return local.tz_localize(NEW_YORK).tz_convert("UTC").as_unit("us").astype("int64").to_numpy()


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.array([], dtype="int64"), np.array([], dtype="int64")


def _ranges(first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """All integers of the half-open ranges, each once: a range begins where the one before it stopped, at least."""
    first = np.maximum(first, np.concatenate([first[:1], np.maximum.accumulate(stop)[:-1]]))
    counts = np.maximum(stop - first, 0)
    offsets = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(first - offsets, counts)


def _session_grid(first: int, last: int, step: int) -> np.ndarray:
    """Bar opens counted from each day's 17:00 New York, from before `first` to behind `last`."""
    days = pd.date_range(from_us(first - 3 * DAY_US).date(), from_us(last + 3 * DAY_US).date(), freq="D")
    starts = local_us(days + pd.Timedelta(hours=ROLLOVER_HOUR))
    # A day that clocks change on has 23 or 25 hours: its last bar is shorter, or one more is added.
    steps = np.arange(-(-(DAY_US + HOUR_US) // step)) * step
    grid = starts[:-1, None] + steps[None, :]
    return grid[grid < starts[1:, None]]

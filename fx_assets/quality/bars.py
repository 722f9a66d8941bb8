"""How candles lie in memory for the checks: columns sorted by instrument and time, and a grid of each bar length.

A grid is an array [session, instrument, slot]; slots count bars from the session's 17:00 New York. Its size does not
depend on what else is in the chunk, so neither do sums along a session, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fx_assets.market_hours.hours import to_us
from fx_assets.quality.market import Market
from fx_assets.sessions import news_bounds, session_bounds

MINUTE_US = 60_000_000
_SLOT_HOURS = 25  # a day on which clocks are set back, where every day is a session


@dataclass(frozen=True)
class Calendar:
    """Sessions of a chunk, sorted: start (17:00 New York), end, and from when on rows belong to it (the weekend
    before Sunday's). int64 microseconds since 1970, UTC.
    """

    keys: tuple[str, ...]
    starts: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray

    @classmethod
    def of(cls, keys: Sequence[str], all_week: bool = False) -> Calendar:
        """The calendar of sorted session keys."""
        bounds = [(*session_bounds(key), news_bounds(key, all_week)[0]) for key in keys]
        columns = np.array([[to_us(moment) for moment in row] for row in bounds], dtype=np.int64).reshape(-1, 3)
        return cls(tuple(keys), columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy())

    def positions(self, times: np.ndarray) -> np.ndarray:
        """The session of each time, as a position in `keys`; -1 for a time that belongs to none of them."""
        if not self.keys:
            return np.full(len(times), -1)
        at = np.searchsorted(self.ends, times, "right")
        inside = at < len(self.keys)
        inside[inside] &= times[inside] >= self.firsts[at[inside]]
        return np.where(inside, at, -1)


@dataclass(frozen=True)
class Grid:
    """One bar length. where: the position [session, instrument, slot] of rows `rows`, flat."""

    minutes: int
    instruments: np.ndarray
    shape: tuple[int, int, int]
    rows: np.ndarray
    where: np.ndarray

    def spread(self, values: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
        """A column on the grid, NaN where there is no bar, or none that `used` (by row) allows."""
        grid = np.full(self.shape, np.nan)
        flat = grid.reshape(-1)
        if used is None:
            flat[self.where] = values[self.rows]
        else:
            kept = used[self.rows]
            flat[self.where[kept]] = values[self.rows[kept]]
        return grid

    def gather(self, grid: np.ndarray, into: np.ndarray) -> None:
        """Set `into` (by row) where the grid is True."""
        into[self.rows[grid.reshape(-1)[self.where]]] = True


@dataclass(frozen=True)
class Bars:
    """Candles sorted by instrument and time. instrument and session are positions; time in microseconds, UTC."""

    market: Market
    calendar: Calendar
    instrument: np.ndarray
    session: np.ndarray
    time: np.ndarray
    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def group(self) -> np.ndarray:
        """A number for each instrument and session; rows of a group lie together."""
        return self.instrument.astype(np.int64) * max(1, len(self.calendar.keys)) + self.session

    @cached_property
    def slot(self) -> np.ndarray:
        """Bars since the session's start; negative before it, -1 for times off the grid too."""
        length = self.market.minutes[self.instrument] * MINUTE_US
        since = self.time - self.calendar.starts[self.session]
        return np.where(since % length == 0, since // length, -1)

    @cached_property
    def grids(self) -> tuple[Grid, ...]:
        """One for each bar length."""
        return tuple(self._grids())

    def _grids(self) -> Iterator[Grid]:
        for minutes in sorted(set(self.market.minutes.tolist())):
            members = np.flatnonzero(self.market.minutes == minutes)
            place = np.full(len(self.market.minutes), -1)
            place[members] = np.arange(len(members))
            slots = _SLOT_HOURS * 60 // minutes if self.market.all_week or minutes > 60 else 24 * 60 // minutes
            slots = max(1, slots)
            at = place[self.instrument]
            rows = np.flatnonzero((at >= 0) & (self.slot >= 0) & (self.slot < slots))
            where = (self.session[rows] * len(members) + at[rows]) * slots + self.slot[rows]
            yield Grid(minutes, members, (len(self.calendar.keys), len(members), slots), rows, where)

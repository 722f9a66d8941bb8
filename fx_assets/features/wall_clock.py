"""Wall clocks of the world for long arrays of UTC times: the offset changes twice a year, so it is looked up by year.

A zone's clock changes are found once for each year and kept. They do not depend on the times asked about, so a value
is the same whichever range it is computed in.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

MINUTE_US = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def wall_minute(utc_us: np.ndarray, zone: str) -> np.ndarray:
    """Minutes since 1970 on the wall clock of `zone`, int64 (n,). utc_us: UTC microseconds, int64, any order."""
    if not len(utc_us):
        return np.empty(0, np.int64)
    starts, offsets = clock_changes(zone, int(utc_us.min()), int(utc_us.max()))
    return (utc_us + offsets[np.searchsorted(starts, utc_us, side="right") - 1]) // MINUTE_US


def clock_changes(zone: str, first_us: int, last_us: int) -> tuple[np.ndarray, np.ndarray]:
    """From when which offset to UTC holds, both int64 microseconds, for all times from first_us to last_us.

    The first start lies at or before first_us; starts rise.
    """
    return _changes(zone, _year(first_us), _year(last_us))


def _year(moment_us: int) -> int:
    return (_EPOCH + timedelta(microseconds=moment_us)).year


@lru_cache(maxsize=256)
def _changes(zone: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    years = [_of_year(zone, year) for year in range(first, last + 1)]
    starts = np.array([start for changes in years for start, _ in changes], np.int64)
    offsets = np.array([offset for changes in years for _, offset in changes], np.int64)
    return starts, offsets


@lru_cache(maxsize=1024)
def _of_year(zone: str, year: int) -> tuple[tuple[int, int], ...]:
    """The offset at the start of a UTC year, then each change in it; no zone changes twice on a day."""
    clock = ZoneInfo(zone)
    day = datetime(year, 1, 1, tzinfo=UTC)
    found = [(_us(day), _offset(day, clock))]
    while day.year == year:
        following = _offset(day + _DAY, clock)
        if following != found[-1][1]:
            found.append((_us(_change_within(day, clock)), following))
        day += _DAY
    return tuple(found)


def _change_within(day: datetime, clock: ZoneInfo) -> datetime:
    """The first moment of the new offset on a day whose end has another one than its start."""
    before = _offset(day, clock)
    low, high = 0, 86_400  # seconds: unchanged at low, changed at high
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(day + timedelta(seconds=middle), clock) == before:
            low = middle
        else:
            high = middle
    return day + timedelta(seconds=high)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _offset(moment: datetime, clock: ZoneInfo) -> int:
    offset = moment.astimezone(clock).utcoffset()
    assert offset is not None  # a ZoneInfo always has one
    return offset // _MICROSECOND

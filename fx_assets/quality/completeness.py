"""How many of the bars that the market calendar expects have arrived, and where whole hours of them are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from fx_assets.market_hours import market_hours
from fx_assets.market_hours.hours import to_us
from fx_assets.quality.bars import MINUTE_US, Bars

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MINUTES = 60


@dataclass(frozen=True)
class Completeness:
    """Counts [session, instrument]: bars that the calendar expects and that have closed, those of them that arrived,
    and missing ones that lie in gaps of an hour or more.
    """

    expected: np.ndarray
    arrived: np.ndarray
    gaps: np.ndarray


def completeness(bars: Bars, now: datetime) -> Completeness:
    """Bars that close after `now` (aware) are not expected yet."""
    calendar, market = bars.calendar, bars.market
    shape = (len(calendar.keys), len(market.symbols))
    found = Completeness(*(np.zeros(shape, dtype=np.int64) for _ in range(3)))
    if not calendar.keys:
        return found
    first, last = (_EPOCH + timedelta(microseconds=int(m)) for m in (calendar.starts.min(), calendar.ends.max()))
    edges = np.searchsorted(bars.instrument, np.arange(shape[1] + 1))
    for at, listed in enumerate(market.instruments):
        opens = market_hours(listed.calendar).expected_bars(first, last, listed.minutes)
        opens = opens.to_numpy("datetime64[us]").astype(np.int64)
        session = calendar.positions(opens)
        wanted = (session >= 0) & (opens + listed.minutes * MINUTE_US <= to_us(now))
        opens, session = opens[wanted], session[wanted]
        times = bars.time[edges[at] : edges[at + 1]]
        where = np.searchsorted(times, opens)
        there = np.zeros(len(opens), dtype=bool)
        inside = where < len(times)
        there[inside] = times[where[inside]] == opens[inside]
        gap = ~there & (_run_length(~there, session) * listed.minutes >= HOUR_MINUTES)
        for counts, rows in ((found.expected, slice(None)), (found.arrived, there), (found.gaps, gap)):
            counts[:, at] = np.bincount(session[rows], minlength=shape[0])
    return found


def _run_length(flags: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each True, how many lie in a row within its group; 1 for each False."""
    if not len(flags):
        return np.zeros(0, dtype=np.int64)
    new = np.ones(len(flags), dtype=bool)
    new[1:] = ~flags[1:] | ~flags[:-1] | (groups[1:] != groups[:-1])
    run = np.cumsum(new) - 1
    return np.bincount(run)[run]

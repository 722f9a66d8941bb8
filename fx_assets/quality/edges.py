"""A feed whose clock is off, seen where the week opens: it brings bars at the weekend.

A clock that is ahead makes Friday's last bars Saturday's, and Sunday's first ones are missing by as much; one that is
behind starts the week before it opens.
"""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import MINUTE_US, Bars
from fx_assets.quality.clock import Shift

HOUR_US = 60 * MINUTE_US
FULL = 0.95  # of the bars before the opening must be there: some brokers quote a few hours before it, with gaps
_BY = "the opening of the week"


def edge_shifts(bars: Bars, closed: np.ndarray) -> list[Shift]:
    """Clocks that the week's opening shows to be off. closed: rows outside market hours.

    Only shifts longer than max_clock_offset_minutes, of instruments whose market closes at weekends.
    """
    rows = np.flatnonzero(closed)
    if not len(rows):
        return []
    least = bars.market.limits.max_clock_offset_minutes
    found = []
    group = bars.group
    # Few sessions have such rows at all: only those are looked at one by one.
    for number in np.unique(group[rows]):
        first, last = np.searchsorted(group, [number, number + 1])
        minutes = _shift(bars, slice(int(first), int(last)))
        if abs(minutes) > least:
            found.append(Shift(int(bars.session[first]), int(bars.instrument[first]), minutes, float("inf"), _BY))
    return found


def _shift(bars: Bars, where: slice) -> int:
    """Minutes that the clock is ahead (positive) or behind; 0 where it cannot be told."""
    session, instrument = bars.session[where.start], bars.instrument[where.start]
    if bars.market.instruments[instrument].calendar != "fx":
        return 0
    times = np.unique(bars.time[where])
    length = int(bars.market.minutes[instrument]) * MINUTE_US
    friday, opening = int(bars.calendar.firsts[session]), int(bars.calendar.starts[session])
    before, after = times[times < opening], times[times >= opening]
    if not len(before):
        return 0
    middle = (friday + opening) // 2
    if before[-1] + length <= middle:
        ahead = int(before[-1]) + length - friday
        missing = int(after[0] if len(after) else bars.calendar.ends[session]) - opening
        return ahead // MINUTE_US if abs(missing - ahead) <= length else 0
    if before[0] >= middle - 12 * HOUR_US:
        behind = opening - int(before[0])
        whole = behind % HOUR_US <= length or HOUR_US - behind % HOUR_US <= length
        return -behind // MINUTE_US if whole and len(before) >= FULL * behind / length else 0
    return 0

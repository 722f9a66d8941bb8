"""Times: bars that start where none can, and bars while the market is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from fx_assets.market_hours import market_hours
from fx_assets.quality.bars import MINUTE_US, Bars, Calendar
from fx_assets.sessions import is_session

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def off_grid(bars: Bars) -> np.ndarray:
    """Rows whose time is not a multiple of the bar's length (of an hour, for longer bars, which sources anchor
    differently).
    """
    length = np.minimum(bars.market.minutes, 60)[bars.instrument] * MINUTE_US
    return bars.time % length != 0


def closed_market(bars: Bars) -> np.ndarray:
    """Rows during which the instrument's market was closed from the bar's open to its close.

    In foreign exchange only the weekend counts: around Christmas and New Year brokers differ by hours, and a bar of
    then is thin and not wrong. Bars that merely repeat a price through a holiday are found as stale.
    """
    closed = np.zeros(len(bars), dtype=bool)
    if not len(bars):
        return closed
    for name in {listed.calendar for listed in bars.market.instruments}:
        if name == "always":
            continue
        members = np.array([listed.calendar == name for listed in bars.market.instruments])
        rows = np.flatnonzero(members[bars.instrument])
        opens, closes = open_intervals(name, bars.calendar)
        start = bars.time[rows]
        end = start + bars.market.minutes[bars.instrument[rows]] * MINUTE_US
        after = np.searchsorted(closes, start, "right")
        shut = (after >= len(opens)) | (opens[np.minimum(after, max(len(opens) - 1, 0))] >= end) if len(opens) else None
        shut = np.ones(len(rows), dtype=bool) if shut is None else shut
        if name == "fx":
            # Friday and Saturday are sessions where another instrument trades all week.
            weekend = np.array([not is_session(key) for key in bars.calendar.keys])
            session = bars.session[rows]
            shut &= (start < bars.calendar.starts[session]) | weekend[session]
        closed[rows] = shut
    return closed


def open_intervals(name: str, calendar: Calendar) -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes of a market over the sessions of a chunk, as microseconds."""
    if not calendar.keys:
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    first, last = (
        _EPOCH + timedelta(microseconds=int(moment)) for moment in (calendar.firsts.min(), calendar.ends.max())
    )
    frame = market_hours(name).open_intervals(first, last)
    opens, closes = (frame[column].to_numpy("datetime64[us]").astype(np.int64) for column in ("open", "close"))
    return opens, closes

"""Prices that stand still: a feed that repeats its last price looks alive."""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import Bars


def stale_prices(bars: Bars, used: np.ndarray) -> np.ndarray:
    """Rows of a run of bars of one session without any movement, of max_flat_bars or more and max_flat_minutes or
    longer: high, low and close equal the close before, and so do bid and ask where there are any. A gap of missing bars
    does not end a run.
    """
    bad = np.zeros(len(bars), dtype=bool)
    rows = np.flatnonzero(used)
    if len(rows) < 2:
        return bad
    still = bars.values["high"][rows] == bars.values["low"][rows]
    for name in ("close", "bid_close", "ask_close"):
        if name in bars.values:
            values = bars.values[name][rows]
            same = values[1:] == values[:-1]
            if name != "close":
                same |= np.isnan(values[1:]) & np.isnan(values[:-1])
            still[1:] &= same
    group = bars.group[rows]
    # The first bar of a session has no close before it, but belongs to the run that follows.
    first = np.concatenate([[True], group[1:] != group[:-1]])
    still[first] = bars.values["high"][rows][first] == bars.values["low"][rows][first]
    starts = np.flatnonzero(still & (first | ~np.concatenate([[False], still[:-1]])))
    if not len(starts):
        return bad
    breaks = np.flatnonzero(~still | first)
    after = np.searchsorted(breaks, starts, "right")
    stops = np.where(after < len(breaks), breaks[np.minimum(after, len(breaks) - 1)], len(rows))
    count = stops - starts
    limits, minutes = bars.market.limits, bars.market.minutes[bars.instrument[rows[starts]]]
    long = (count >= limits.max_flat_bars) & (count * minutes >= limits.max_flat_minutes)
    for start, stop in zip(starts[long], stops[long], strict=True):
        bad[rows[start:stop]] = True
    return bad

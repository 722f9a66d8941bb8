"""Figures against what is usual at their time of day: see features/hour_adjusted.py for the rule.

`yardsticks` walks over an instrument's whole history; the values of a row depend on the SLOT_WINDOW bars before it
only, whatever row it begins with. The rest works on tiles.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.hour_adjusted import ADJUSTED_LIMIT, FALLBACK, MINIMUM, RECENT, SESSIONS, SLOT_WINDOW
from fx_assets.features.kernels.arithmetic import bounded, ratio
from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import ladder, stretch
from fx_assets.features.kernels.microstructure import ROW as MICROSTRUCTURE
from fx_assets.features.kernels.series import HALO, SIZE_120
from fx_assets.features.kernels.sorted_window import replaced
from fx_assets.features.kernels.volatility import ROW as VOLATILITY
from fx_assets.features.volatility import SPEEDS

SPANS = tuple(span for span, _ in SPEEDS.values())
TAPS = tuple(taps for _, taps in SPEEDS.values())
# The rows of `hours`: moves, ranges and volume over their usual size; what usually follows, and what did recently.
MOVE, RANGE, VOLUME, NEXT_MOVE, NEXT_MOVE_RECENT, NEXT_RANGE_RECENT = range(6)
HOURS = 6


@kernel()
def same_slot_before(slot):
    """For each row the row before it with the same slot (int64 in [0, 1440)), -1 if none."""
    newest = np.full(1440, -1, np.int64)
    before = np.empty(len(slot), np.int64)
    for i in range(len(slot)):
        before[i] = newest[slot[i]]
        newest[slot[i]] = i
    return before


@kernel()
def _median(values):
    """Median of a few values, which are sorted in place."""
    for i in range(1, len(values)):
        value = values[i]
        k = i - 1
        while k >= 0 and values[k] > value:
            values[k + 1] = values[k]
            k -= 1
        values[k + 1] = value
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


@kernel()
def yardsticks(values, before, first, begin, adjusted, usual_next, recent_next):
    """Each value over its usual size at this time of day, and what follows this time of day.

    values: float64 (n,), known from row `first`. before: of `same_slot_before`. Rows from `begin` on are filled, where
    SLOT_WINDOW known values come before; the others are left. adjusted, usual_next (the median of what followed) and
    recent_next (its RECENT newest, over that median): float64 (n,).
    """
    earlier, later = np.empty(SESSIONS), np.empty(SESSIONS)
    window = np.empty(FALLBACK)
    window_to = -2  # the newest row in `window`
    for i in range(max(begin, first + SLOT_WINDOW), len(values)):
        found = 0
        total = 0.0
        j = before[i]
        while j >= i - SLOT_WINDOW and found < SESSIONS:
            earlier[found], later[found] = values[j], values[j + 1]
            if found < RECENT:
                total += values[j + 1]
            found += 1
            j = before[j]
        if found < MINIMUM:
            # Moved along from the row before where that one needed it too, else sorted anew.
            if window_to == i - 2:
                replaced(window, FALLBACK, values[i - 1 - FALLBACK], values[i - 1])
            else:
                window[:] = values[i - FALLBACK : i]
                _median(window)
            window_to = i - 1
            usual = (window[(FALLBACK - 1) // 2] + window[FALLBACK // 2]) / 2
            following, recent = usual, usual
        else:
            usual, following = _median(earlier[:found]), _median(later[:found])
            recent = total / min(found, RECENT)
        adjusted[i] = bounded(ratio(values[i], usual, 0.0), -ADJUSTED_LIMIT, ADJUSTED_LIMIT)
        usual_next[i] = following
        recent_next[i] = bounded(ratio(recent, following, 0.0), -ADJUSTED_LIMIT, ADJUSTED_LIMIT)


@kernel()
def _load(hours, position, to):
    """The tile's part of one row of `hours`, with the HALO before it; zero before the history."""
    first = position - HALO
    missing = max(0, -first)
    to[:missing] = 0.0
    to[missing:] = hours[first + missing : first + len(to)]


@kernel("void(f8[::1], f8, i8, f8[:, ::1], f8[::1])")
def _mean(values, span, taps, scratch, to):
    """Exponential mean of `taps` values, weights made to add up to one."""
    f = 1.0 - 2.0 / (span + 1.0)
    weights, weight = 0.0, 1.0
    for _ in range(taps):
        weights += weight
        weight *= f
    total = scratch[2]
    ladder(values, f, taps, scratch[0], scratch[1], total)
    sums = total[HALO:]
    for j in range(len(to)):
        to[j] = sums[j] / weights


@kernel()
def moves_against_hour(hours, series, scratch, out, rows, at, position):
    """Write the figures against their hour of the volatility group for the tile that starts at bar `position`."""
    n = series.shape[1]
    till = at + n - HALO
    size, values = n - HALO, scratch[3]
    for side in range(2):
        _load(hours[MOVE if side == 0 else RANGE], position, values)
        row = VOLATILITY.move_adjusted if side == 0 else VOLATILITY.range_adjusted
        out[rows[row], at:till] = values[HALO:]
        for k in range(len(SPANS)):
            _mean(values, SPANS[k], TAPS[k], scratch, out[rows[row + 1 + k], at:till])
    out[rows[VOLATILITY.next_move_recent], at:till] = hours[NEXT_MOVE_RECENT, position : position + size]
    out[rows[VOLATILITY.next_range_recent], at:till] = hours[NEXT_RANGE_RECENT, position : position + size]
    stretch(series[SIZE_120], 120, 4, 1.0, values)
    level, usual = values[HALO:], hours[NEXT_MOVE, position : position + size]
    profile = out[rows[VOLATILITY.next_move_profile], at:till]
    for j in range(len(profile)):
        profile[j] = ratio(480.0 * usual[j], level[j], 0.0)


@kernel()
def volume_against_hour(hours, series, scratch, out, rows, at, position):
    """Write the volume against its hour for the tile that starts at bar `position`."""
    till = at + series.shape[1] - HALO
    _load(hours[VOLUME], position, scratch[3])
    out[rows[MICROSTRUCTURE.volume_adjusted], at:till] = scratch[3][HALO:]
    _mean(scratch[3], 3, 12, scratch, out[rows[MICROSTRUCTURE.volume_adjusted_fast], at:till])

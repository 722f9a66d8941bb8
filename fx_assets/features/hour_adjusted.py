"""The yardstick of the time of day: how large a figure usually is at this New York hour, and in the one that
follows.

FX activity has a strong daily shape, so a move means something only against the same hour of earlier
sessions. The yardstick is the median over the last SESSIONS earlier bars with the same New York time of day
among the last SLOT_WINDOW bars (SESSIONS sessions of hourly bars). Bars much shorter than an hour have fewer
than MINIMUM such bars
in that window: for them the yardstick is the median of the last FALLBACK bars, so the adjustment is to recent
    bars.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.blocks import ratio

SESSIONS = 16
SLOT_WINDOW = SESSIONS * 24
RECENT = 4
MINIMUM = 5
FALLBACK = 120
# One bar for the return, SLOT_WINDOW earlier bars for the yardstick, and the bar itself.
ADJUSTED_WINDOW = SLOT_WINDOW + 2
# A single outlier must not rule an exponential mean for a day.
ADJUSTED_LIMIT = 10.0


def adjusted(values: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """values over their usual size at this time of day, within 0..ADJUSTED_LIMIT; 0 where that is 0."""
    typical, _ = _same_slot(values, slot, 0)
    return ratio(values, typical, limit=ADJUSTED_LIMIT)


def following(values: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What came after earlier bars of this time of day: (median over SESSIONS, mean of the newest RECENT)."""
    return _same_slot(values, slot, 1)


def _same_slot(values: np.ndarray, slot: np.ndarray, lead: int) -> tuple[np.ndarray, np.ndarray]:
    from fx_assets.features.kernels import same_slot

    return same_slot(np.ascontiguousarray(values), slot, lead, SESSIONS, RECENT, SLOT_WINDOW, MINIMUM, FALLBACK)

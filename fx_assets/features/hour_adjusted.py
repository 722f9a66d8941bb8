"""The yardstick of the time of day: how large a figure usually is at this New York hour, and in the one that
follows.

FX activity has a strong daily shape, so a move means something only against the same hour of earlier
sessions. The yardstick is the median over the last SESSIONS earlier bars with the same New York time of day
among the last SLOT_WINDOW bars (SESSIONS sessions of hourly bars). Bars much shorter than an hour have fewer
than MINIMUM such bars in that window: for them the yardstick is the median of the last FALLBACK bars, so the
adjustment is to recent bars. The formulas are in kernels/same_slot.py.
"""

from __future__ import annotations

SESSIONS = 16
SLOT_WINDOW = SESSIONS * 24
RECENT = 4
MINIMUM = 5
FALLBACK = 120
# One bar for the return, SLOT_WINDOW earlier bars for the yardstick, and the bar itself.
ADJUSTED_WINDOW = SLOT_WINDOW + 2
# A single outlier must not rule an exponential mean for a day.
ADJUSTED_LIMIT = 10.0

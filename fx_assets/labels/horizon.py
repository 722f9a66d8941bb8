"""How far ahead a label looks, in minutes of the clock or in bars, and how many sessions of candles that takes.

Bars are counted wherever they are, over weekends and gaps too. So that a label does not depend on how much of the
future was read, one that would reach over too many days without bars is missing: see `reach_days`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from fx_assets.features.blocks import MINUTE_US

if TYPE_CHECKING:
    from fx_assets.configuration import Label

SESSIONS = 20
# How far back the occurrences of an hour may lie: the hour after the weekend has only four a week, and there are
# holidays.
REACH_DAYS_PER_SESSION = 2.25
PERSISTENCE_REACH_DAYS = 10
# The fewest sessions before the first wanted row (one-hour horizons need 45 + 10 calendar days of them); see
# label_sessions.
LOOKBACK_SESSIONS = 40
DAY_US = 1440 * MINUTE_US


def reach_days(minutes: float) -> float:
    """Calendar days in which so many minutes of bars must lie, or what is made of them is missing.

    A quarter more than their length, up to three more days for markets that are open for a few hours, two days for each
    weekend that can lie between, and a holiday.
    """
    days = minutes / 1440
    open_days = 1.25 * days + 3.0 * min(days, 1.0)
    return open_days + 2.0 * ceil(open_days / 5.0) + 1.0


@dataclass(frozen=True)
class Horizon:
    """How far ahead: exactly one of `minutes` on the clock and `bars`; bar_minutes: the length of a bar.

    Raises ValueError where the minutes are not a positive multiple of the bar, or the bars not positive.
    """

    bar_minutes: int
    minutes: int | None = None
    bars: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.bars is None):
            raise ValueError("a horizon is given in minutes or in bars: pass one of them.")
        ahead = self.bars if self.minutes is None else self.minutes
        step = 1 if self.minutes is None else self.bar_minutes
        if self.bar_minutes <= 0 or ahead is None or ahead <= 0 or ahead % step:
            raise ValueError(
                f"horizon of {ahead} {'bars' if self.minutes is None else 'minutes'} on bars of {self.bar_minutes} "
                "minutes: it must be a positive multiple of the bar length. Change the horizon or the granularity."
            )

    @property
    def stride(self) -> int:
        """The horizon in bars."""
        return self.bars if self.bars is not None else (self.minutes or 0) // self.bar_minutes

    @property
    def nominal_minutes(self) -> int:
        """The horizon in minutes of open market."""
        return self.stride * self.bar_minutes

    def rows(self, time_us: np.ndarray, past: bool = False) -> np.ndarray:
        """For each bar the row a horizon later (earlier if `past`), -1 where there is none; one instrument."""
        from fx_assets.labels.kernels import rows_apart, rows_counted

        sign = -1 if past else 1
        if self.minutes is not None:
            return rows_apart(time_us, sign * self.minutes * MINUTE_US)
        return rows_counted(time_us, sign * self.stride, int(reach_days(self.nominal_minutes) * DAY_US))


def volatility_bars(span: int) -> int:
    """How many returns an exponential mean of that span is made of: at least four spans, as a product of 2, 3, 5, 7."""
    bars = 4 * span
    while not _smooth(bars):
        bars += 1
    return bars


def _smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1


def label_sessions(labels: Iterable[Label], bar_minutes: Iterable[int], all_week: bool = False) -> tuple[int, int]:
    """Sessions of candles that the labels of one session need (before it, after it).

    Before: of large moves, the yardstick's reach, the persistence's reach and the return that each of its values is; of
    barriers, the returns their volatility is made of. After: those in which a label of the last bar can end.
    """
    lengths = sorted(set(bar_minutes))
    before, ahead = 0.0, 1
    for label in labels:
        for length in lengths:
            minutes = label.minutes(length)
            exact = label.horizon_minutes is not None
            reach = minutes / 1440 if exact else reach_days(minutes)
            ahead = max(ahead, ceil(reach) if exact else _count(reach, all_week))
            if label.has_barriers:
                before = max(before, reach_days(volatility_bars(label.volatility_span) * length))
            elif label.kind == "large_move":
                usual = REACH_DAYS_PER_SESSION * SESSIONS + PERSISTENCE_REACH_DAYS * max(1.0, minutes / 60.0)
                before = max(before, usual + reach)
    sessions = ceil(before * (1.0 if all_week else 5 / 7)) + 1
    return max(LOOKBACK_SESSIONS, sessions), ahead


def _count(days: float, all_week: bool) -> int:
    """The most sessions that can begin within so many days."""
    if all_week:
        return ceil(days)
    return 5 * int(days // 7) + min(5, ceil(days % 7))


def decided_after(label: Label, bar_minutes: int) -> int:
    """Minutes after a decision by which its label is known, if the market trades as usual meanwhile.

    Bars are counted over weekends, so a label in bars waits for those that can lie between.
    """
    minutes = label.minutes(bar_minutes)
    if label.horizon_minutes is not None:
        return minutes
    return minutes + 2 * 1440 * ceil(minutes / (5 * 1440))

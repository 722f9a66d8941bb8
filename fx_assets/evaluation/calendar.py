"""The FX day, which turns at 17:00 New York, and the nights for which a held position pays swap."""

from __future__ import annotations

import numpy as np

from fx_assets.features.blocks import NEW_YORK, wall_minute

# Swap is settled two working days later, so the night of Wednesday pays for the weekend; Monday is 0.
_NIGHTS = np.array([1, 1, 3, 1, 1, 0, 0])
_MONDAY = np.datetime64("1970-01-05")


def trading_day(time: np.ndarray) -> np.ndarray:
    """The FX day a UTC moment belongs to, datetime64[D]; named by the date its session ends on."""
    moments = np.asarray(time).astype("datetime64[us]").astype(np.int64)
    return ((wall_minute(moments, NEW_YORK) + 7 * 60) // 1440).astype("datetime64[D]")


def nights(begin: np.ndarray, finish: np.ndarray) -> np.ndarray:
    """Nights that are paid between two UTC moments, int64 (n,): 17:00 New York of Monday to Friday, Wednesday's
    threefold. What is closed on the stroke of 17:00 pays that night, what is opened then does not.
    """
    return _paid_before(trading_day(finish)) - _paid_before(trading_day(begin))


def _paid_before(day: np.ndarray) -> np.ndarray:
    """Nights paid from a fixed Monday up to the end of the day before `day`."""
    weeks, weekday = np.divmod((day - _MONDAY).astype(np.int64), 7)
    return weeks * int(_NIGHTS.sum()) + np.concatenate([[0], np.cumsum(_NIGHTS)])[weekday]

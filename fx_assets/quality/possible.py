"""Prices and volumes that no market can have."""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import Bars


def impossible_prices(bars: Bars) -> np.ndarray:
    """Rows with a missing, infinite or non-positive price, or an open or close outside low and high."""
    open_, high, low, close = (bars.values[name] for name in ("open", "high", "low", "close"))
    with np.errstate(invalid="ignore"):
        fine = (np.minimum(open_, close) >= low) & (np.maximum(open_, close) <= high) & (low > 0) & (high < np.inf)
    return ~fine


def negative_volume(bars: Bars) -> np.ndarray:
    """Rows with a volume below zero. A missing volume is none of it."""
    if "volume" not in bars.values:
        return np.zeros(len(bars), dtype=bool)
    with np.errstate(invalid="ignore"):
        return bars.values["volume"] < 0


def idle_volume(bars: Bars) -> np.ndarray:
    """Rows whose price moved without a single tick: counted and kept, since their prices may well be true."""
    if "volume" not in bars.values:
        return np.zeros(len(bars), dtype=bool)
    return (bars.values["volume"] == 0) & (bars.values["high"] > bars.values["low"])

"""Bid and ask beside each other."""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import Bars


def negative_spread(bars: Bars) -> np.ndarray:
    """Rows whose ask lies below the bid, or where one of them is not positive. Equal quotes are a spread of zero."""
    bad = np.zeros(len(bars), dtype=bool)
    with np.errstate(invalid="ignore"):
        for name in ("bid_close", "ask_close"):
            if name in bars.values:
                bad |= (bars.values[name] <= 0) | np.isinf(bars.values[name])
        if "bid_close" in bars.values and "ask_close" in bars.values:
            bad |= bars.values["ask_close"] < bars.values["bid_close"]
    return bad


def wide_spread(bars: Bars) -> np.ndarray:
    """Rows whose spread is more than max_spread_multiple times the instrument's typical one."""
    if "bid_close" not in bars.values or "ask_close" not in bars.values:
        return np.zeros(len(bars), dtype=bool)
    most = bars.market.limits.max_spread_multiple * bars.market.typical_spread[bars.instrument]
    with np.errstate(invalid="ignore"):
        return bars.values["ask_close"] - bars.values["bid_close"] > most

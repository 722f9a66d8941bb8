"""Which candles can be true at all: pure functions, no storage. From candles to silver is fx_assets.quality."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.schemas import BID_ASK

PRICES = ["open", "high", "low", "close"]


def valid_candles(rows: pd.DataFrame) -> pd.Series:
    """Which candles can be true by themselves: positive finite prices, low <= open, close <= high, ask not below bid,
    and no negative volume. What an answer is judged by before it is stored; fx_assets.quality looks at much more.
    """
    prices = rows[PRICES].to_numpy("float64")
    open_, high, low, close = prices.T
    valid = np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1)
    valid &= (np.maximum(open_, close) <= high) & (np.minimum(open_, close) >= low)
    quotes = {name: rows[name].to_numpy("float64") for name in BID_ASK if name in rows.columns}
    for quote in quotes.values():
        valid &= ~(quote <= 0)
    if len(quotes) == len(BID_ASK):
        bid, ask = (quotes[name] for name in BID_ASK)
        valid &= ~(ask < bid)
    if "volume" in rows.columns:
        valid &= ~(rows["volume"].to_numpy("float64") < 0)
    return pd.Series(valid, index=rows.index)

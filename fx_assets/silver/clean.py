"""From bronze rows to distinct headlines, and which candles can be true at all: pure functions, no storage.

From candles to silver is fx_assets.quality.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.schemas import BID_ASK, UTC_TIME
from fx_assets.sessions import session_bounds
from fx_assets.sources.news_content import distinct

PRICES = ["open", "high", "low", "close"]
MICROSECOND = pd.Timedelta(microseconds=1)


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


def headlines(rows: pd.DataFrame) -> pd.DataFrame:
    """Bronze rows as headlines that differ in content within their session, available from max(published, first
    seen); sentiment still to come.

    A feed that is asked every few minutes brings a headline again each time, first seen then: the earliest counts.
    One that claims to be published after the session in which it was seen is known by that session's end.
    """
    if rows.empty:
        return rows
    rows = distinct(rows, per=rows["session"])
    ends = {key: pd.Timestamp(session_bounds(key)[1]) - MICROSECOND for key in rows["session"].unique()}
    latest = rows["session"].map(ends).astype(UTC_TIME)
    available = rows[["published", "first_seen"]].max(axis=1)
    return rows.assign(available_at=available.where(available <= latest, latest))

"""From bronze rows to checked candles and headlines: pure functions, no storage."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.schemas import BID_ASK

PRICES = ["open", "high", "low", "close"]


def newest_fetch(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """One row for each key: that of the newest fetch. `rows` must be in fetch order for equal fetch times."""
    return rows.sort_values("fetched_at", kind="stable").drop_duplicates(key, keep="last", ignore_index=True)


def valid_candles(rows: pd.DataFrame) -> pd.Series:
    """Which candles can be true: positive finite prices, low <= open, close <= high, ask not below bid, and no
    negative volume.
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


def candles(rows: pd.DataFrame, bar_minutes: dict[str, int]) -> tuple[pd.DataFrame, int]:
    """Bronze rows as silver candles, and how many impossible rows were left out.

    rows: as Bronze.read returns them. bar_minutes: length of a bar by instrument.
    available_at is the bar's close. Incomplete candles (still running when fetched) are dropped.
    """
    if rows.empty:
        return rows, 0
    if "complete" in rows.columns:
        rows = rows[rows["complete"].ne(False)]
    rows = newest_fetch(rows, ["instrument", "time"])
    valid = valid_candles(rows)
    good = rows[valid]
    length = pd.to_timedelta(good["instrument"].map(bar_minutes), unit="min")
    return good.assign(available_at=good["time"] + length, source=good["fetch_source"]), int((~valid).sum())


def headlines(rows: pd.DataFrame) -> pd.DataFrame:
    """Bronze rows as distinct headlines, available from max(published, first seen); sentiment still to come."""
    if rows.empty:
        return rows
    rows = rows.assign(available_at=rows[["published", "first_seen"]].max(axis=1))
    return newest_fetch(rows, ["headline", "available_at"])

"""Closing quotes of the bars that have closed, from the lake's candles: what orders are filled at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, Instrument
from fx_assets.errors import MissingData
from fx_assets.lake import Lake

RECORDED, TYPICAL = "recorded", "typical"
_COLUMNS = ["instrument", "available_at", "close", "bid_close", "ask_close"]
# Longer than any bar: candles are chosen by their open, quotes by their close.
_LONGEST_BAR = timedelta(days=1)


@dataclass(frozen=True)
class Quote:
    """A bar's close. mid: its closing price. bid, ask: recorded, or the typical spread around it. half_spread: share
    of the price.
    """

    time: datetime
    mid: float
    bid: float
    ask: float
    half_spread: float
    source: str


def closing_quotes(
    lake: Lake, configuration: Configuration, instruments: Iterable[str], since: datetime, now: datetime
) -> dict[str, list[Quote]]:
    """Quotes with since <= time <= now by instrument, the oldest first; none where there are no candles.

    What lies behind `now` is left out: in a replay the lake holds the future too.
    """
    wanted = sorted(set(instruments))
    try:
        start = since - _LONGEST_BAR
        candles = lake.table("silver/candles", start, now + timedelta(microseconds=1), wanted, columns=_COLUMNS)
    except MissingData:
        return {symbol: [] for symbol in wanted}
    known = candles[(candles["available_at"] >= pd.Timestamp(since)) & (candles["available_at"] <= pd.Timestamp(now))]
    known = known.sort_values("available_at")
    return {
        symbol: _quotes(known[known["instrument"] == symbol], configuration.instruments.instruments[symbol])
        for symbol in wanted
    }


def _quotes(rows: pd.DataFrame, instrument: Instrument) -> list[Quote]:
    typical = instrument.typical_spread / 2
    mid = rows["close"].to_numpy(float)
    bid, ask = rows["bid_close"].to_numpy(float), rows["ask_close"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        recorded = np.isfinite(bid) & np.isfinite(ask) & (bid > 0) & (ask >= bid)
    bid, ask = np.where(recorded, bid, mid - typical), np.where(recorded, ask, mid + typical)
    return [
        Quote(
            time.to_pydatetime(),
            float(mid[i]),
            float(bid[i]),
            float(ask[i]),
            float((ask[i] - bid[i]) / (ask[i] + bid[i])),
            RECORDED if recorded[i] else TYPICAL,
        )
        for i, time in enumerate(rows["available_at"])
    ]

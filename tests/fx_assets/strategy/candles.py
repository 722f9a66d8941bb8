"""Candles with and without recorded quotes, written as sessions of silver/candles."""

import numpy as np
import pandas as pd

from fx_assets.lake import Lake
from fx_assets.sessions import session_keys

ROLLOVER, QUIET = 6e-4, 1e-4  # spreads at 17:00 New York, and at any other hour


def candles(first: str, last: str, recorded: bool = True) -> pd.DataFrame:
    """Hourly candles of EUR_USD (1.2, quoted) and USD_JPY (108, mid prices only); first <= time < last, New York."""
    time = pd.date_range(first, last, freq="h", tz="America/New_York", inclusive="left").tz_convert("UTC").as_unit("us")
    known = time + pd.Timedelta(hours=1)
    spread = np.where(known.tz_convert("America/New_York").hour == 17, ROLLOVER, QUIET)
    parts = []
    for name, price in (("EUR_USD", 1.2), ("USD_JPY", 108.0)):
        quoted = recorded and name == "EUR_USD"
        parts.append(
            pd.DataFrame(
                {
                    "instrument": name,
                    "time": time,
                    "available_at": known,
                    "close": price,
                    "bid_close": price - spread / 2 if quoted else np.nan,
                    "ask_close": price + spread / 2 if quoted else np.nan,
                }
            )
        )
    return pd.concat(parts, ignore_index=True).sort_values(["time", "instrument"], ignore_index=True)


def write(lake: Lake, frame: pd.DataFrame) -> None:
    """The frame as sessions of silver/candles."""
    keys = session_keys(frame["time"]).to_numpy()
    lake.write("silver/candles", {str(key): part.reset_index(drop=True) for key, part in frame.groupby(keys)})

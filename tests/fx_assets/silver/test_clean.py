"""Which candles can be true at all."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.silver.clean import valid_candles

GOOD = {"open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25, "volume": 5.0, "bid_close": 1.249, "ask_close": 1.251}


def fetched(*rows: dict, at: str = "2021-03-02T00:00Z", **same) -> pd.DataFrame:
    frame = pd.DataFrame([{**GOOD, "instrument": "X", "fetch_source": "s", "complete": True, **row} for row in rows])
    times = pd.date_range("2021-03-01T22:00Z", periods=len(rows), freq="1h", unit="us")
    frame["time"] = times if "time" not in frame else pd.to_datetime(frame["time"], utc=True)
    return frame.assign(fetched_at=pd.Timestamp(at), **same)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"high": 1.25, "open": 1.25, "low": 1.25}, True),
        ({"bid_close": np.nan, "ask_close": np.nan}, True),
        ({"volume": np.nan}, True),
        ({"bid_close": 1.25, "ask_close": 1.25}, True),
        ({"high": 1.05}, False),
        ({"close": 1.31}, False),
        ({"open": 1.09}, False),
        ({"low": 0.0}, False),
        ({"low": -1.0}, False),
        ({"close": np.nan}, False),
        ({"high": np.inf}, False),
        ({"bid_close": 1.252}, False),
        ({"bid_close": 0.0}, False),
        ({"volume": -1.0}, False),
    ],
)
def test_which_candles_can_be_true(change, valid):
    assert valid_candles(fetched(change)).tolist() == [valid]

"""From bronze rows to candles that can be true."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.silver.assets import lookback_sessions, without_missing_quotes
from fx_assets.silver.clean import candles, headlines, valid_candles

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


def test_impossible_rows_are_left_out_and_counted():
    good, rejected = candles(fetched({}, {"high": 1.0}, {}, {"close": None}), {"X": 60})
    assert (len(good), rejected) == (2, 2)
    assert (good["available_at"] - good["time"] == pd.Timedelta("1h")).all()
    assert set(good["source"]) == {"s"}


def test_prices_that_are_all_missing_are_impossible():
    rows = fetched({}, {}).astype({"close": object}).assign(close=None)
    assert candles(rows, {"X": 60})[1] == 2


def test_running_candles_are_dropped_and_not_counted_as_wrong():
    rows = fetched({}, {"complete": False}, {"complete": None})
    good, rejected = candles(rows, {"X": 60})
    assert (good["time"].tolist(), rejected) == (rows["time"][[0, 2]].tolist(), 0)


def test_the_newest_fetch_wins_row_by_row_but_a_running_candle_replaces_nothing():
    old = fetched({"close": 1.21}, {"close": 1.22}, {"close": 1.23})
    new = fetched({"close": 1.26}, {"close": 1.27, "complete": False}, at="2021-03-03T00:00Z")
    for rows in (pd.concat([old, new]), pd.concat([new, old])):
        good, _ = candles(rows.reset_index(drop=True), {"X": 60})
        assert good.sort_values("time")["close"].tolist() == [1.26, 1.22, 1.23]


def test_instruments_keep_their_own_bar_length():
    rows = pd.concat([fetched({}), fetched({}, instrument="Y")], ignore_index=True)
    good, _ = candles(rows, {"X": 60, "Y": 5})
    assert (good["available_at"] - good["time"]).tolist() == [pd.Timedelta("1h"), pd.Timedelta("5min")]


def test_headlines_are_known_from_the_later_of_published_and_seen_and_are_there_once():
    stamps = {"published": ["10:00", "12:00", "12:00", "12:00"], "first_seen": ["11:00", "11:00", "10:30", "11:00"]}
    frame = pd.DataFrame({k: pd.to_datetime([f"2021-03-01T{t}Z" for t in v], utc=True) for k, v in stamps.items()})
    frame = frame.assign(headline=["a", "b", "b", "a"], fetched_at=pd.Timestamp("2021-03-02", tz="UTC"))
    known = headlines(frame).sort_values(["available_at", "headline"])
    assert known["headline"].tolist() == ["a", "a", "b"]
    assert known["available_at"].dt.hour.tolist() == [11, 12, 12]
    assert headlines(frame.iloc[:0]).empty


def test_quotes_that_nobody_has_are_no_columns():
    frame = fetched({"ask_close": None}, {"ask_close": None})
    assert "ask_close" not in without_missing_quotes(frame)
    assert "bid_close" in without_missing_quotes(frame)


def test_lookback_holds_the_window_and_some_spare():
    assert (lookback_sessions(24, 60), lookback_sessions(25, 60), lookback_sessions(3, 1440)) == (5, 6, 7)

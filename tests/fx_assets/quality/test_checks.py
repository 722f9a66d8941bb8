"""Each check of a single candle or run of candles: what it finds, and that it leaves good candles alone."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Quality
from fx_assets.quality.market import Listed, Market
from tests.fx_assets.quality.market_data import changed, fetched, hours, market_of, reasons, recorded, screened, value


@pytest.mark.parametrize("name", ["hours_2018-10-14", "oanda_usdsgd_h1_2025-03-02"])
def test_nothing_is_found_in_recorded_good_weeks(name):
    rows = recorded(name)
    found = screened(rows)
    assert found.quarantined.empty
    assert found.findings.empty
    assert found.problems == {}
    assert len(found.good) == len(rows)


def test_nothing_is_found_in_calm_hours():
    found = screened(hours())
    assert (len(found.good), len(found.quarantined), len(found.findings)) == (72, 0, 0)
    assert (found.good["available_at"] - found.good["time"] == pd.Timedelta("1h")).all()
    assert set(found.good["source"]) == {"feed"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"high": 1.05}, "impossible_price"),
        ({"open": np.nan}, "impossible_price"),
        ({"low": 0.0}, "impossible_price"),
        ({"high": np.inf}, "impossible_price"),
        ({"volume": -1.0}, "negative_volume"),
        ({"bid_close": 1.3}, "negative_spread"),
        ({"bid_close": 0.0}, "negative_spread"),
        ({"ask_close": 1.3}, "wide_spread"),
    ],
)
def test_a_candle_that_cannot_be_true_goes_to_quarantine_with_its_reason(change, reason):
    found = screened(changed(hours(), 5, **change))
    assert reason in reasons(found)
    assert len(found.good) == 71
    row = found.quarantined[found.quarantined["reason"] == reason].iloc[0]
    assert (row["instrument"], row["source"], row["copy"]) == ("EUR_USD", "feed", 0)
    assert not np.isinf(row[["open", "high", "low", "close"]].to_numpy(float)).any()
    # One bad candle never condemns its source.
    assert found.problems == {}


@pytest.mark.parametrize("change", [{"volume": np.nan}, {"bid_close": np.nan, "ask_close": np.nan}])
def test_what_is_missing_is_not_wrong(change):
    assert screened(changed(hours(), 5, **change)).quarantined.empty


def test_equal_quotes_are_no_defect():
    rows = hours()
    assert screened(rows.assign(bid_close=rows["close"], ask_close=rows["close"])).quarantined.empty


def test_a_move_without_ticks_is_told_and_kept():
    found = screened(changed(hours(), 5, volume=0.0))
    assert found.quarantined.empty
    assert found.findings[["check", "what", "count"]].to_numpy().tolist() == [["volume", "moved without ticks", 1]]


def test_a_time_between_two_bars_is_no_bars_open():
    rows = hours()
    off = changed(rows, 5, time=rows["time"].iloc[5] + pd.Timedelta("7min"))
    assert reasons(screened(off)) == {"off_grid": 1}


def flat_weekend() -> pd.DataFrame:
    """The recorded week of USD_SGD with the weekend before it filled by its first price, as some feeds do."""
    week = pd.read_parquet(recorded_path())
    first = week.iloc[[0]]
    times = pd.date_range(week["time"].iloc[0] - pd.Timedelta("48h"), periods=48, freq="h", unit="us")
    price = float(first["open"].iloc[0])
    fill = pd.DataFrame({"instrument": "USD_SGD", "time": times, "volume": 0.0})
    fill = fill.assign(**dict.fromkeys(("open", "high", "low", "close"), price))
    fill = fill.assign(bid_close=price - 0.0001, ask_close=price + 0.0001)
    return fetched(pd.concat([fill, week], ignore_index=True))


def recorded_path():
    from tests.fx_assets.quality.market_data import DEFECTS

    return DEFECTS / "oanda_usdsgd_h1_2025-03-02.parquet"


def test_a_weekend_is_none_for_what_trades_all_week_and_still_one_for_the_rest():
    """With an instrument of the first kind, Saturday is a session of its own."""
    saturday = hours("2021-03-06", ("EUR_USD", "BTC_USD")).assign(session="2021-03-06")
    listed = (Listed("EUR_USD", 60, "fx", 0.00012), Listed("BTC_USD", 60, "always", 10.0))
    found = screened(saturday, Market(listed, Quality(), {}, all_week=True))
    assert set(found.good["instrument"]) == {"BTC_USD"}
    assert reasons(found)["closed_market"] == 24


def test_a_weekend_filled_with_the_last_price_is_not_trading():
    found = screened(flat_weekend())
    assert reasons(found)["closed_market"] == 48
    (words,) = found.problems["2025-03-02"]
    assert "USD_SGD, session 2025-03-02: 48 of 72 candles of source feed are bad (66.7%, limit 1.0%)" in words
    assert "48 closed_market" in words
    assert "sources.feed.max_bad_share" in words
    # The other four sessions of the week are as good as ever.
    assert len(found.good) == 96


def test_fxcm_asks_below_the_bid_and_quotes_before_the_opening():
    rows = recorded("fxcm_eurusd_m1_2014-05-04")
    found = screened(rows, minutes=1)
    told = reasons(found)
    assert told["negative_spread"] == int((rows["ask_close"] < rows["bid_close"]).sum()) == 32
    assert told["closed_market"] == int((rows["time"] < pd.Timestamp("2014-05-04T21:00Z")).sum()) > 300
    assert told["source_over_limit"] == len(rows)
    assert found.good.empty


def test_a_source_within_its_limit_loses_only_its_bad_candles():
    rows = recorded("fxcm_nzdusd_m1_2014-05-07")
    found = screened(rows, minutes=1)
    assert reasons(found) == {"negative_spread": int((rows["ask_close"] < rows["bid_close"]).sum())}
    assert 2 <= len(found.quarantined) <= 0.01 * len(rows)
    assert len(found.good) == len(rows) - len(found.quarantined)
    assert found.problems == {}
    strict = screened(rows, market_of(rows, 1, {"feed": 0.001}))
    assert strict.good.empty
    assert "limit 0.1%" in strict.problems["2014-05-07"][0]


def test_prices_that_stand_still_for_long_are_stale_and_for_a_while_are_not():
    for count, stale in ((11, 0), (12, 12)):
        rows = hours(symbols=("EUR_USD",))
        held = rows.index[5 : 5 + count]
        price = rows.loc[4, "close"]
        for name in ("open", "high", "low", "close"):
            rows.loc[held, name] = price
        for name in ("bid_close", "ask_close"):
            rows.loc[held, name] = rows.loc[4, name]
        found = screened(rows)
        assert reasons(found).get("stale", 0) == stale
        assert ("2021-03-02" in found.problems) is (stale > 0)


def test_a_price_that_stands_still_while_the_quotes_move_is_alive():
    rows = hours(symbols=("EUR_USD",))
    for name in ("open", "high", "low", "close"):
        rows.loc[2:20, name] = 1.2
    rows["bid_close"] = 1.2 - np.linspace(0.00001, 0.0001, 24)
    rows["ask_close"] = 1.2 + np.linspace(0.00001, 0.0001, 24)
    assert "stale" not in reasons(screened(rows))


def spike(rows: pd.DataFrame, symbol: str, size: float) -> pd.DataFrame:
    rows = rows.copy()
    at = rows.index[(rows["instrument"] == symbol)][10]
    for name in ("close", "bid_close", "ask_close"):
        rows.loc[at, name] = value(rows, at, name) * (1 + size)
    rows["high"] = rows[["high", "open", "close"]].max(axis=1)
    rows["low"] = rows[["low", "open", "close"]].min(axis=1)
    return rows


def test_a_spike_that_returns_and_nobody_shares_is_one():
    found = screened(spike(hours(), "EUR_USD", 0.05))
    assert reasons(found) == {"spike": 1}
    assert len(found.good) == 71


def test_a_move_that_others_share_is_news():
    rows = spike(spike(spike(hours(), "EUR_USD", 0.05), "GBP_USD", 0.03), "USD_JPY", -0.04)
    assert screened(rows).quarantined.empty


def test_a_move_that_does_not_return_is_a_move():
    rows = hours()
    at = rows.index[rows["instrument"] == "EUR_USD"][10:]
    for name in ("open", "high", "low", "close", "bid_close", "ask_close"):
        rows.loc[at[1:] if name == "open" else at, name] *= 1.05
    rows["high"] = rows[["high", "open", "close"]].max(axis=1)
    rows["low"] = rows[["low", "open", "close"]].min(axis=1)
    assert screened(rows).quarantined.empty


def test_a_triangle_that_does_not_close_accuses_all_three_unless_another_confirms_one():
    rows = hours(symbols=("EUR_USD", "USD_JPY"))
    euro, yen = (rows[rows["instrument"] == s].reset_index(drop=True) for s in ("EUR_USD", "USD_JPY"))
    cross = yen.assign(instrument="EUR_JPY")
    for name in ("open", "high", "low", "close"):
        cross[name] = euro[name] * yen[name]
    cross["bid_close"], cross["ask_close"] = cross["close"] * 0.9999, cross["close"] * 1.0001
    cross["high"] = cross[["open", "high", "close"]].max(axis=1)
    cross["low"] = cross[["open", "low", "close"]].min(axis=1)
    closed = pd.concat([rows, cross], ignore_index=True)
    assert screened(closed, spike_z=1e6).quarantined.empty
    broken = spike(closed, "EUR_JPY", 0.01)
    assert reasons(screened(broken, spike_z=1e6)) == {"cross_rate": 3}
    # A spike is found first, and then the triangle has nothing left to say.
    assert reasons(screened(broken)) == {"spike": 1}


def test_a_pair_that_another_triangle_confirms_is_not_accused():
    rows = hours(symbols=("EUR_USD", "USD_JPY", "GBP_USD"))
    parts = {s: rows[rows["instrument"] == s].reset_index(drop=True) for s in rows["instrument"].unique()}
    made = [rows]
    for left in ("EUR", "GBP"):
        cross = parts["USD_JPY"].assign(instrument=f"{left}_JPY")
        close = parts[f"{left}_USD"]["close"] * parts["USD_JPY"]["close"]
        values = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close}
        made.append(cross.assign(**values, bid_close=close * 0.9999, ask_close=close * 1.0001))
    whole = pd.concat(made, ignore_index=True)
    assert screened(whole, spike_z=1e6).quarantined.empty
    found = screened(spike(whole, "EUR_JPY", 0.01), spike_z=1e6)
    assert set(found.quarantined["instrument"]) == {"EUR_JPY", "EUR_USD"}  # dollar-yen is confirmed by sterling

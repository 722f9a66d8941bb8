"""What is particular to the sources behind a library or a key: symbols, limits, pages, and answers that are wrong."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fx_assets.sources import SourceError, SourceRefused, make_source
from fx_assets.sources.base import OutOfHistory
from fx_assets.sources.options import KINDS
from tests.contract.sources import KEY, NOW, truth
from tests.servers.alpha_vantage import alpha_vantage_app
from tests.servers.binance import binance_app
from tests.servers.faults import FaultApp, serve
from tests.servers.finnhub import finnhub_app
from tests.servers.tws import Tws, serve_tws
from tests.servers.yahoo import yahoo_app

DAY = timedelta(days=1)
START, END = datetime(2025, 6, 10, tzinfo=UTC), datetime(2025, 6, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", NOW.isoformat())
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    monkeypatch.setenv("FINNHUB_API_KEY", KEY)


def made(kind: str, **options: Any) -> Any:
    given: Any = KINDS[kind].model_validate({"retries": 0, "timeout_s": 5} | options)
    return make_source(kind, given)


def spoilt(what: str) -> pd.DataFrame:
    """The truth with one bar that cannot be, in the middle of START to END."""
    frame = truth().copy()
    row = int(frame["time"].searchsorted(pd.Timestamp(START))) + 20
    if what == "negative":
        frame.loc[row, "low"] = -1.0
    elif what == "zero":
        frame.loc[row, "close"] = 0.0
    elif what == "off the grid":
        frame.loc[row, "time"] = frame["time"].iloc[row] + pd.Timedelta(minutes=7)
    elif what == "twice":
        frame = pd.concat([frame.iloc[: row + 1], frame.iloc[row:]], ignore_index=True)
    elif what == "backwards":
        frame.loc[[row, row + 1], "time"] = frame.loc[[row + 1, row], "time"].to_numpy()
    return frame


SPOILT = ("negative", "zero", "off the grid", "twice", "backwards")


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("kind", ["binance", "finnhub", "yfinance", "alpha_vantage"])
def test_a_bar_that_cannot_be_makes_the_whole_answer_an_error(kind, what):
    frame = spoilt(what)
    app, path = {
        "binance": (binance_app({("EURUSD", "1h"): frame}), ""),
        "finnhub": (finnhub_app(KEY, {("OANDA:EUR_USD", "60"): frame}), "/api/v1"),
        "yfinance": (yahoo_app({("EURUSD=X", "1h"): frame}, NOW.timestamp), ""),
        "alpha_vantage": (alpha_vantage_app(KEY, {("EURUSD", "60min"): frame}), ""),
    }[kind]
    with serve(app) as served:
        source = made(kind, url=served.url + path)
        # The libraries and protocols that sort and join by time mend what was only out of order.
        mends = {"yfinance": ("twice", "backwards"), "alpha_vantage": ("twice", "backwards")}
        if what in mends.get(kind, ()):
            assert source.candles("EUR_USD", "H1", START, END)["time"].is_monotonic_increasing
        else:
            with pytest.raises(SourceError):
                source.candles("EUR_USD", "H1", START, END)
        source.close()


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [("binance", "ccxt", "binance"), ("ib", "ib_async", "ib"), ("yfinance", "yfinance.scrapers.history", "yahoo")],
)
def test_a_missing_extra_is_refused_with_the_command_that_installs_it(kind, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SourceRefused, match=rf"pip install 'fx-platform\[{extra}\]'"):
        made(kind)


# ---------------------------------------------------------------------------------------------- Binance


@pytest.mark.parametrize("bars", [999, 1000, 1001, 2000, 2001])
def test_binance_pages_join_exactly(bars):
    frame = truth("M1")
    app = FaultApp(binance_app({("EURUSD", "1m"): frame}))
    first = 4000
    start, end = frame["time"].iloc[first], frame["time"].iloc[first + bars]
    with serve(app) as served:
        answer = made("binance", url=served.url).candles("EUR_USD", "M1", start, end)
    expected = frame["time"].iloc[first : first + bars].reset_index(drop=True)
    pd.testing.assert_series_equal(answer["time"], expected)
    assert app.requests == -(-bars // 1000)


# ------------------------------------------------------------------------------------------------ Yahoo


def test_yahoo_says_how_far_its_intraday_history_goes():
    with serve(yahoo_app({("EURUSD=X", "1h"): truth()}, NOW.timestamp)) as served:
        source = made("yfinance", url=served.url)
        for granularity, days in (("M1", 30), ("M5", 60), ("H1", 730)):
            with pytest.raises(OutOfHistory, match=f"last {days} days only"):
                source.candles("EUR_USD", granularity, NOW - (days + 1) * DAY, NOW - days * DAY)
        with pytest.raises(SourceRefused, match="has no H4 candles, only M1"):
            source.candles("EUR_USD", "H4", START, END)


def test_a_range_out_of_history_does_not_rule_out_a_later_one():
    from fx_assets.bronze.failover import Sources
    from fx_assets.configuration import InstrumentsFile

    with serve(yahoo_app({("EURUSD=X", "1h"): truth()}, NOW.timestamp)) as served:
        file = InstrumentsFile.model_validate(
            {
                "sessions": {"start": "2020-01-01"},
                "sources": {"yfinance": {"url": served.url}},
                "instruments": {"EUR_USD": {"typical_spread": 0.0001}},
            }
        )
        with Sources(file) as sources:
            for _ in range(5):
                with pytest.raises(SourceRefused):
                    sources.ask("yfinance", "EUR_USD", lambda s: s.candles("EUR_USD", "H1", NOW - 900 * DAY, NOW))
            found = sources.ask("yfinance", "EUR_USD", lambda s: s.candles("EUR_USD", "H1", START, END))
    assert len(found) == 48


def test_yahoo_bars_without_trades_are_no_bars():
    frame = truth().copy()
    row = int(frame["time"].searchsorted(pd.Timestamp(START))) + 5
    frame.loc[row, ["open", "high", "low", "close", "volume"]] = np.nan
    with serve(yahoo_app({("EURUSD=X", "1h"): frame}, NOW.timestamp)) as served:
        answer = made("yfinance", url=served.url).candles("EUR_USD", "H1", START, END)
    assert frame["time"].iloc[row] not in set(answer["time"])
    assert len(answer) == 47


def test_yahoo_shares_have_a_volume_and_one_minute_bars_come_in_pages():
    app = FaultApp(yahoo_app({("SPY", "1m"): truth("M1")}, NOW.timestamp))
    with serve(app) as served:
        answer = made("yfinance", url=served.url).candles("SPY", "M1", NOW - 20 * DAY, NOW - 1 * DAY)
    expected = truth("M1")
    inside = (expected["time"] >= NOW - 20 * DAY) & (expected["time"] < NOW - 1 * DAY)
    columns = ["time", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(answer, expected.loc[inside, columns].reset_index(drop=True))
    assert app.requests == 3


# ---------------------------------------------------------------------------------- Alpha Vantage, Finnhub


def test_alpha_vantage_rate_limits_come_as_200_and_their_words_hold_the_key(caplog):
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/query")(lambda: {"Information": f"We have detected your API key as {KEY} and our limit is 25 a day."})
    with serve(app) as served, caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as caught:
        made("alpha_vantage", url=served.url).candles("EUR_USD", "H1", START, END)
    assert "limit is 25 a day" in str(caught.value)
    assert not isinstance(caught.value, SourceRefused)
    assert KEY not in str(caught.value) + caplog.text


def test_alpha_vantage_is_out_of_history_before_its_first_bar():
    with serve(alpha_vantage_app(KEY, {("EURUSD", "60min"): truth()})) as served:
        source = made("alpha_vantage", url=served.url)
        with pytest.raises(OutOfHistory, match="goes back to 2025-"):
            source.candles("EUR_USD", "H1", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))


def test_alpha_vantage_days_are_those_of_utc():
    days = (
        truth()
        .groupby(truth()["time"].dt.floor("D"))
        .agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    )
    with serve(alpha_vantage_app(KEY, {("EURUSD", "daily"): days.reset_index()})) as served:
        answer = made("alpha_vantage", url=served.url).candles("EUR_USD", "D", START, NOW)
    assert answer["time"].tolist() == [pd.Timestamp(START) + n * DAY for n in range(3)]  # the 13th is running


def test_finnhub_columns_of_unequal_length_are_an_error():
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/forex/candle")(
        lambda: {"s": "ok", "t": [1], "o": [1.0, 2.0], "h": [1.0], "l": [1.0], "c": [1.0], "v": [1.0]}
    )
    with serve(app) as served, pytest.raises(SourceError, match="columns of"):
        made("finnhub", url=served.url).candles("EUR_USD", "H1", START, END)


# --------------------------------------------------------------------------------- Interactive Brokers


@pytest.fixture
def tws():
    with serve_tws(Tws({("EUR.USD", "1 hour"): truth(), ("EUR.USD", "1 day"): truth("D")})) as server:
        yield server


def test_ib_asks_for_three_series_page_by_page(tws):
    source = made("ib", port=tws.port, requests_per_s=50)
    start = NOW - 70 * DAY
    bars = source.candles("EUR_USD", "H1", start, NOW)
    assert [m[19] for m in tws.requests] == ["MIDPOINT"] * 3 + ["BID"] * 3 + ["ASK"] * 3
    assert [m[17] for m in tws.requests[:3]] == ["28 D", "28 D", "14 D"]
    assert (bars["ask_close"] > bars["bid_close"]).all()
    assert tws.connections == 1
    source.close()


def test_ib_days_open_at_17_new_york(tws):
    bars = made("ib", port=tws.port, requests_per_s=50).candles("EUR_USD", "D", START, NOW)
    expected = truth("D")
    inside = (expected["time"] >= START) & (expected["time"] + DAY <= NOW)
    assert bars["time"].tolist() == expected["time"][inside].tolist()
    assert (bars["time"].dt.tz_convert("America/New_York").dt.hour == 17).all()


def test_ib_connects_again_after_the_gateway_has_hung_up(tws):
    source = made("ib", port=tws.port, requests_per_s=50)
    assert len(source.candles("EUR_USD", "H1", START, END)) == 48
    tws.fault = "hang_up"
    with pytest.raises(SourceError):
        source.candles("EUR_USD", "H1", START, END)
    tws.fault = None
    assert len(source.candles("EUR_USD", "H1", START, END)) == 48
    assert tws.connections >= 2
    source.close()


def test_ib_a_gateway_that_does_not_greet_is_given_up(tws):
    tws.fault = "mute"
    with pytest.raises(SourceError, match="in time"):
        made("ib", port=tws.port, requests_per_s=50, timeout_s=0.5).candles("EUR_USD", "H1", START, END)


def test_ib_symbols_that_are_no_pair_state_what_they_are(tws):
    source = made("ib", port=tws.port, requests_per_s=50)
    with pytest.raises(SourceRefused, match="'SPX500' is not TYPE:SYMBOL:EXCHANGE:CURRENCY"):
        source.candles("SPX500", "H1", START, END)
    tws.candles = {("SPY.USD", "1 hour"): truth()}
    assert len(source.candles("STK:SPY:ARCA:USD", "H1", START, END)) == 48
    assert tws.requests[-1][3:5] == ["SPY", "STK"]
    source.close()


def test_ib_errors_are_told_apart(tws):
    source = made("ib", port=tws.port, requests_per_s=50)
    for code, words, refused in (
        (200, "No security definition has been found", True),
        (162, "Historical Market Data Service error message:No market data permissions for IDEALPRO CASH", True),
        (354, "Requested market data is not subscribed", True),
        (162, "Historical Market Data Service error message:pacing violation", False),
        (366, "No historical data query found", False),
    ):
        tws.fails(code, words)
        with pytest.raises(SourceError, match=f"error {code}") as caught:
            source.candles("EUR_USD", "H1", START, END)
        assert isinstance(caught.value, SourceRefused) is refused, words
    source.close()

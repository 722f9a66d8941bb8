"""The pricing stream over real HTTP: bars equal candles, cuts, silence, stale and wrong servers, the token."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.sources import SourceRefused
from fx_assets.sources import oanda_stream as module
from fx_assets.sources.oanda import OandaCandles
from fx_assets.sources.oanda_bars import StreamBar, bars_frame
from fx_assets.sources.oanda_stream import PricingStream, stream_bars
from fx_assets.sources.options import Oanda
from tests.servers.faults import FaultApp, serve
from tests.servers.oanda import ACCOUNT, TOKEN, oanda_server

RECORDED = Path(__file__).parents[2] / "data" / "oanda" / "stream.ndjson"
NINE = datetime(2021, 3, 1, 9, tzinfo=UTC)
Script = Sequence[Sequence[bytes | float]]


@pytest.fixture(autouse=True)
def _account(monkeypatch):
    monkeypatch.setenv("OANDA_TOKEN", TOKEN)
    monkeypatch.setenv("OANDA_ACCOUNT", ACCOUNT)
    monkeypatch.setattr(module, "BACKOFF_S", 0.02)
    monkeypatch.setattr(module, "MAX_CLOCK_OFFSET_S", 900.0)  # scripts play minutes in an instant


def price(second: float, bid: float = 1.1, ask: float = 1.1002, symbol: str = "EUR_USD", **more: object) -> bytes:
    line = {
        "type": "PRICE",
        "time": f"{NINE.timestamp() + second:.9f}",
        "bids": [{"price": f"{bid:.5f}", "liquidity": 500_000}],
        "asks": [{"price": f"{ask:.5f}", "liquidity": 500_000}],
        "closeoutBid": f"{bid:.5f}",
        "closeoutAsk": f"{ask:.5f}",
        "status": "tradeable",
        "tradeable": True,
        "instrument": symbol,
    }
    return json.dumps(line | more).encode() + b"\n"


def beat(second: float) -> bytes:
    return json.dumps({"type": "HEARTBEAT", "time": f"{NINE.timestamp() + second:.9f}"}).encode() + b"\n"


def beats(first: float, last: float) -> list[bytes]:
    """Heartbeats every five seconds."""
    return [beat(first + 5 * n) for n in range(int((last - first) // 5) + 1)]


class Scripted:
    """Plays one script for each connection: bytes are sent, numbers are seconds of silence; then it hangs up."""

    def __init__(self, script: Script):
        self.script, self.played = script, 0

    async def __call__(self, scope, receive, send):
        number, self.played = self.played, self.played + 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for item in self.script[number] if number < len(self.script) else ():
            if isinstance(item, bytes):
                await send({"type": "http.response.body", "body": item, "more_body": True})
            else:
                await asyncio.sleep(item)
        if number >= len(self.script):
            await asyncio.sleep(30)
        await send({"type": "http.response.body", "body": b""})


def listen(
    url: str, count: int, instruments: dict[str, int] | None = None, within_s: float = 10, **options: object
) -> list[StreamBar]:
    """Bars until `count` have come, or the time is over."""
    made = Oanda.model_validate({"url": url, "stream_url": url, "timeout_s": 2} | options)
    stop, found = threading.Event(), []
    timer = threading.Timer(within_s, stop.set)
    timer.start()
    try:
        for bar in stream_bars(made, instruments or {"EUR_USD": 1}, stop, lambda: NINE + timedelta(seconds=60)):
            found.append(bar)
            if len(found) >= count:
                stop.set()
    finally:
        timer.cancel()
    return found


def play(script: Script, count: int, **more) -> list[str]:
    """Opens of the bars that come of a script."""
    with serve(FaultApp(Scripted(script))) as served:
        return [f"{bar.time:%H:%M}" for bar in listen(served.url, count, **more)]


@pytest.mark.timeout(120)
def test_bars_of_the_stream_equal_the_candles_fetched_afterwards(monkeypatch):
    """The replay runs twenty times as fast as the wall clock; a slow test machine may cost a bar, never change one."""
    with oanda_server("2022-01-12T15:20:40Z", speed=20) as server:
        stop, bars = threading.Event(), []
        symbols = {"GBP_USD": 1, "USD_JPY": 1}
        timer = threading.Timer(60, stop.set)
        timer.start()
        for bar in stream_bars(server.options(), symbols, stop, server.clock.now):
            bars.append(bar)
            if len(bars) >= 5:
                stop.set()
        timer.cancel()
        assert {bar.instrument for bar in bars} == set(symbols)
        monkeypatch.setattr("fx_assets.sources.oanda.now", server.clock.now)
        source = OandaCandles("oanda", server.options())
        for bar in bars:
            fetched = source.candles(bar.instrument, "M1", bar.time, bar.time + timedelta(minutes=1))
            pd.testing.assert_frame_equal(bars_frame([bar]), fetched)


def test_a_cut_in_the_middle_of_a_line_costs_the_running_bar_only():
    first = [beat(-5), price(5), *beats(0, 55), price(61), beat(62), price(70)[:40]]
    second = [*beats(125, 175), price(130), price(181), *beats(182, 242)]
    assert play([first, second], 2) == ["09:00", "09:03"]


def test_silence_ends_a_connection_and_another_is_made(monkeypatch):
    """The server stays connected and says nothing: no heartbeat, no end."""
    monkeypatch.setattr(module, "SILENCE_S", 0.4)
    first = [beat(-5), price(5), *beats(0, 60), price(61), beat(62), 5.0]
    second = [*beats(85, 125), price(125), *beats(130, 190)]
    assert play([first, second], 2) == ["09:00", "09:02"]


def test_missing_heartbeats_cut_the_bar_even_if_the_connection_held():
    """Thirty seconds are missing between two lines: prices may have been lost in them."""
    lines = [beat(-5), price(5), *beats(0, 20), beat(50), beat(55), price(65), *beats(60, 125)]
    assert play([lines], 1) == ["09:01"]


def test_a_bar_without_further_prices_is_closed_by_heartbeats():
    assert play([[beat(-1), price(5), *beats(4, 64)]], 1) == ["09:00"]


def test_prices_that_cannot_be_traded_on_make_no_bar():
    lines = [beat(-5), price(5, tradeable=False), *beats(0, 60), price(65), *beats(65, 125)]
    assert play([lines], 1) == ["09:01"]


@pytest.mark.parametrize("odd", [price(20, 1.1003, 1.1002), price(20, bids=[]), price(20, 0.0, 1.1)])
def test_a_bar_with_a_crossed_or_empty_quote_is_left_to_the_broker(odd):
    lines = [beat(-5), price(5), odd, *beats(5, 60), price(65), *beats(65, 125)]
    assert play([lines], 1) == ["09:01"]


@pytest.mark.parametrize("bad", [b'{"type":"WHAT"}\n', b'{"type":"HEARTBEAT","time":"\xff"}\n', b'{"type":"\xff"}\n'])
def test_a_line_that_cannot_be_read_costs_the_running_bar(bad, caplog):
    lines = [beat(-5), price(5), bad, *beats(5, 60), price(65), *beats(65, 125)]
    assert play([lines], 1) == ["09:01"]
    assert "cannot be read" in caplog.text


def test_the_old_price_sent_on_connecting_opens_nothing():
    """The stream begins with the newest price of each instrument, however old it is."""
    lines = [price(-7200), beat(-5), price(5), *beats(0, 65)]
    assert play([lines], 1) == ["09:00"]


def test_each_instrument_has_its_own_length_of_bar():
    lines = [beat(-5), price(5), price(6, symbol="USD_JPY"), *beats(0, 305)]
    with serve(FaultApp(Scripted([lines]))) as served:
        bars = listen(served.url, 2, {"EUR_USD": 1, "USD_JPY": 5})
    assert [(bar.instrument, bar.minutes, f"{bar.time:%H:%M}") for bar in bars] == [
        ("EUR_USD", 1, "09:00"),
        ("USD_JPY", 5, "09:00"),
    ]


def test_a_server_of_another_day_gives_no_bars(caplog):
    lines = [price(86_405), *beats(86_400, 86_500)]
    assert play([lines], 1, within_s=1.5) == []
    assert "its time is +86" in caplog.text
    assert "FX_CLOCK" in caplog.text


def test_a_server_that_hangs_up_is_asked_again_and_not_all_the_time():
    app = FaultApp(Scripted([]))
    app.fault("hang_up")
    with serve(app) as served:
        listen(served.url, 1, within_s=2.2)
    times = [request.at for request in app.seen]
    assert 2 <= len(times) <= 4  # two new connections a second are allowed
    assert app.seen[0].path == f"/v3/accounts/{ACCOUNT}/pricing/stream"
    assert app.seen[0].query == "instruments=EUR_USD"


def test_stopping_does_not_wait_for_the_server():
    with serve(FaultApp(Scripted([[beat(0), 30.0]]))) as served:
        started = time.monotonic()
        assert listen(served.url, 1, within_s=0.5) == []
        assert time.monotonic() - started < 30, "the server's silence was waited for"


@pytest.mark.parametrize("variable", ["OANDA_TOKEN", "OANDA_ACCOUNT"])
def test_without_token_or_account_it_is_refused_with_a_remedy(monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(SourceRefused, match=f"{variable} is not set"):
        listen("http://127.0.0.1:9", 1)


@pytest.fixture
def server() -> Iterator:
    with oanda_server("2022-01-12T15:20:40Z", speed=1) as running:
        yield running


def test_a_wrong_token_or_instrument_is_refused_and_neither_secret_is_told(server, monkeypatch, caplog):
    with pytest.raises(SourceRefused, match=r"HTTP 400 .*instruments"):
        listen(server.url, 1, {"XXX_YYY": 1})
    monkeypatch.setenv("OANDA_TOKEN", "a-wrong-token-that-nobody-may-see")
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceRefused, match="HTTP 401") as caught:
        listen(server.url, 1, {"GBP_USD": 1})
    told = f"{caught.value!r}{caught.value.__context__!r}"
    assert "wrong-token" not in told + caplog.text
    assert ACCOUNT not in told


def test_recorded_lines_are_understood():
    """Three prices outside market hours and heartbeats; times as OANDA writes them without the option of ours."""
    stream = PricingStream("oanda", Oanda(), {"EUR_USD": 1, "GBP_USD": 1, "USD_SGD": 1})
    for line in RECORDED.read_bytes().splitlines():
        record = json.loads(line)
        record["time"] = str(pd.Timestamp(record["time"]).timestamp())
        assert stream.feed(json.dumps(record).encode()) == []
    assert stream.unusable == 3

"""OANDA candles over real HTTP: pages joined exactly once, alignment, refusals, faults, the limits, the token."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from fx_assets.sources import SourceError, SourceRefused, make_source
from fx_assets.sources.http import HttpSession
from fx_assets.sources.oanda import OandaCandles
from fx_assets.sources.oanda_page import COLUMNS, Page
from fx_assets.sources.options import Oanda
from tests.servers.faults import FaultApp, dead_url, serve
from tests.servers.oanda import ACCOUNT, TOKEN, OandaServer, minute_history, oanda_server

NOW = "2022-01-12T15:20:30Z"
START, END = datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 12, 2, 40, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _account(monkeypatch):
    monkeypatch.setenv("OANDA_TOKEN", TOKEN)
    monkeypatch.setenv("OANDA_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("FX_CLOCK", NOW)


@pytest.fixture
def server() -> Iterator[OandaServer]:
    """One made-up instrument with 16,000 one-minute bars, and one of the sample."""
    from fx_assets.practice.history import load_history

    histories = {"EUR_USD": minute_history("EUR_USD", "2021-03-01", 16_000), **load_history("sample")}
    with oanda_server(NOW, histories) as running:
        yield running


@pytest.fixture
def source(server) -> Iterator[OandaCandles]:
    made = OandaCandles("oanda", server.options(timeout_s=2, retries=1))
    yield made
    made.close()


def test_it_is_made_from_its_kind(server):
    assert isinstance(make_source("oanda", server.options()), OandaCandles)


@pytest.mark.parametrize(("environment", "host"), [("practice", "api-fxpractice"), ("live", "api-fxtrade")])
def test_the_environment_names_the_host_unless_a_url_does(environment, host, monkeypatch):
    asked = []
    monkeypatch.setattr(HttpSession, "get_bytes", lambda self, path, params: asked.append(self.base_url) or b"")
    with pytest.raises(SourceError, match="no page of candles"):
        OandaCandles("oanda", Oanda(environment=environment)).candles("EUR_USD", "M1", START, END)
    assert asked == [f"https://{host}.oanda.com"]


def test_pages_are_joined_so_that_each_candle_comes_exactly_once(server, source):
    frame = source.candles("EUR_USD", "M1", START, END)
    asked = [request.query for request in server.faults.seen]
    assert len(asked) == 4  # 16,000 candles, 4,999 new ones in each page after the first
    assert all("count=5000" in query for query in asked[:3])
    history = server.market.histories["EUR_USD"].bars
    expected = pd.date_range(START, END, freq="1min", inclusive="left", unit="us")
    pd.testing.assert_index_equal(pd.DatetimeIndex(frame["time"]), expected, check_names=False)
    np.testing.assert_array_equal(frame[list(COLUMNS[1:5])].to_numpy(), history[: len(frame), 2:6] / 1e5)
    np.testing.assert_array_equal(frame["ask_close"], history[: len(frame), 13] / 1e5)
    assert list(frame.columns) == list(COLUMNS)
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("minutes", [1, 4_999, 5_000, 5_001, 9_998, 9_999, 10_000])
def test_ranges_at_the_edges_of_a_page_are_whole(source, minutes):
    frame = source.candles("EUR_USD", "M1", START, START + timedelta(minutes=minutes))
    assert len(frame) == minutes
    assert frame["time"].is_monotonic_increasing
    assert frame["time"].is_unique


def test_a_range_is_half_open_and_gaps_stay_empty(source):
    """From Friday evening over the weekend: the candles after the range are not taken."""
    start, end = datetime(2022, 1, 7, 20, tzinfo=UTC), datetime(2022, 1, 9, 23, tzinfo=UTC)
    frame = source.candles("GBP_USD", "H1", start, end)
    assert [str(t) for t in frame["time"]] == [
        "2022-01-07 20:00:00+00:00",
        "2022-01-07 21:00:00+00:00",
        "2022-01-09 22:00:00+00:00",
    ]
    assert source.candles("GBP_USD", "H1", start + timedelta(hours=2), end - timedelta(hours=1)).empty


def test_only_complete_candles_come(server, source):
    start = datetime(2022, 1, 12, 14, tzinfo=UTC)
    assert len(source.candles("GBP_USD", "H1", start, start + timedelta(days=1))) == 1
    minutes = source.candles("GBP_USD", "M1", start, start + timedelta(days=1))
    assert minutes["time"].iloc[-1] == pd.Timestamp("2022-01-12T15:19Z")


def test_what_lies_ahead_is_empty_and_not_asked_for(server, source):
    ahead = datetime(2022, 1, 13, tzinfo=UTC)
    assert source.candles("GBP_USD", "H1", ahead, ahead + timedelta(days=1)).empty
    assert server.faults.requests == 0


def test_a_clock_before_the_servers_is_no_error(server, source, monkeypatch):
    """OANDA refuses times ahead of its own clock."""
    monkeypatch.setenv("FX_CLOCK", "2022-01-12T16:00:00Z")
    start = datetime(2022, 1, 12, 15, 30, tzinfo=UTC)
    assert source.candles("GBP_USD", "M1", start, start + timedelta(hours=1)).empty


@pytest.mark.parametrize(
    ("day", "utc_hour"), [("2021-03-11", 22), ("2021-03-15", 21), ("2021-11-04", 21), ("2021-11-08", 22)]
)
def test_days_and_four_hours_start_at_the_new_york_close_on_both_sides_of_a_clock_change(source, day, utc_hour):
    start = datetime.fromisoformat(f"{day}T{utc_hour}:00:00+00:00")
    days = source.candles("GBP_USD", "D", start, start + timedelta(hours=23))
    assert list(days["time"]) == [pd.Timestamp(start)]
    blocks = source.candles("GBP_USD", "H4", start, start + timedelta(hours=24))
    assert list(blocks["time"]) == [pd.Timestamp(start) + pd.Timedelta(hours=4 * n) for n in range(6)]
    assert days["high"].iloc[0] == blocks["high"].max()
    assert days["volume"].iloc[0] == blocks["volume"].sum()


def test_the_weekend_of_a_clock_change_is_whole(source):
    """New York moved from UTC-5 to UTC-4 on Sunday, 14 March 2021: trading began at 21:00 UTC."""
    frame = source.candles("GBP_USD", "H1", datetime(2021, 3, 12, 20, tzinfo=UTC), datetime(2021, 3, 15, 0, tzinfo=UTC))
    steps = {b - a for a, b in pairwise(frame["time"]) if b - a != pd.Timedelta(hours=1)}
    assert steps == {pd.Timedelta(days=2)}
    assert pd.Timestamp("2021-03-14T21:00Z") in set(frame["time"])


def test_a_wrong_token_is_refused_at_once_and_never_told(server, source, monkeypatch):
    monkeypatch.setenv("OANDA_TOKEN", "a-wrong-token-that-nobody-may-see")
    with pytest.raises(SourceRefused, match="HTTP 401") as caught:
        source.candles("EUR_USD", "M1", START, END)
    assert server.faults.requests == 1
    assert "wrong-token" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"


def test_without_a_token_the_error_says_what_to_do(server, source, monkeypatch):
    monkeypatch.delenv("OANDA_TOKEN")
    with pytest.raises(SourceRefused, match=r"OANDA_TOKEN is not set.*fx practice"):
        source.candles("EUR_USD", "M1", START, END)
    named = OandaCandles("second", server.options(token_env="MY_TOKEN"))
    with pytest.raises(SourceRefused, match="second: MY_TOKEN is not set"):
        named.candles("EUR_USD", "M1", START, END)


def test_unknown_instruments_and_granularities_are_refused(source):
    with pytest.raises(SourceRefused, match=r"HTTP 400 .*'instrument'"):
        source.candles("XXX_YYY", "M1", START, END)
    with pytest.raises(SourceRefused, match="no M7 candles"):
        source.candles("EUR_USD", "M7", START, END)


@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "truncated", "hang_up", "slow"])
def test_a_fault_that_passes_costs_no_candle(server, source, kind):
    server.faults.fault(kind, times=1, retry_after="0", seconds=4)
    assert len(source.candles("EUR_USD", "M1", START, START + timedelta(hours=1))) == 60


@pytest.mark.parametrize("kind", ["garbage", "nonsense", "drip", "slow", "truncated", "hang_up", "server_error"])
def test_a_fault_that_stays_is_an_error_and_never_a_frame(server, kind):
    server.faults.fault(kind)
    source = OandaCandles("oanda", server.options(timeout_s=0.5, retries=0))
    with pytest.raises(SourceError, match="oanda"):
        source.candles("EUR_USD", "M1", START, START + timedelta(hours=1))


def test_nobody_there():
    source = OandaCandles("oanda", Oanda(url=dead_url(), retries=0))
    with pytest.raises(SourceError, match="cannot connect"):
        source.candles("EUR_USD", "M1", START, END)


def test_the_request_limit_is_never_passed_by_several_threads_and_sources(server):
    """The server counts every second; it would answer 429 above 120 and the retries would show."""
    start = START

    def fetch(offset: int) -> None:
        source = OandaCandles("oanda", server.options(connections_per_s=2))
        for n in range(60):
            begin = start + timedelta(hours=offset + n)
            assert len(source.candles("EUR_USD", "M1", begin, begin + timedelta(minutes=30))) == 30
        source.close()

    threads = [threading.Thread(target=fetch, args=(60 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.traffic.requests.total == 240
    assert server.traffic.requests.most <= 120
    assert server.traffic.connections.total == 4
    assert server.traffic.connections.most <= 2


def test_a_server_that_answers_429_is_asked_again_later():
    with oanda_server(NOW, {"EUR_USD": minute_history("EUR_USD", "2021-03-01", 3000)}, requests_per_s=1) as server:
        source = OandaCandles("oanda", server.options(retries=3))
        for _ in range(3):
            assert len(source.candles("EUR_USD", "M1", START, START + timedelta(hours=1))) == 60
        assert server.faults.requests > 3


# What a broken or hostile server could send instead of a page.


def prices(value: str = "1.10000") -> dict[str, str]:
    return dict.fromkeys("ohlc", value)


def page(times: list[int], **changes: object) -> dict:
    candle = {"complete": True, "volume": 5, "bid": prices(), "mid": prices(), "ask": prices()}
    candles = [candle | {"time": f"{time}.000000000"} for time in times]
    return {"instrument": "EUR_USD", "granularity": "M1", "candles": candles} | changes


FIRST = int(START.timestamp())
BROKEN: dict[str, tuple[Callable[[], dict], str]] = {
    "other instrument": (lambda: page([FIRST], instrument="USD_JPY"), "about USD_JPY"),
    "other granularity": (lambda: page([FIRST], granularity="H1"), "about EUR_USD H1"),
    "time twice": (lambda: page([FIRST, FIRST]), "do not rise"),
    "time falls": (lambda: page([FIRST + 60, FIRST]), "do not rise"),
    "an hour early": (lambda: page([FIRST - 3600, FIRST]), "starts before"),
    "off the grid": (lambda: page([FIRST + 30]), "no start of a M1 candle"),
    "not a time": (
        lambda: page([FIRST]) | {"candles": [page([FIRST])["candles"][0] | {"time": "nan"}]},
        "starts before",
    ),
    "zero": (
        lambda: page([FIRST]) | {"candles": [page([FIRST])["candles"][0] | {"mid": prices("0")}]},
        "sound numbers",
    ),
    "not a number": (
        lambda: page([FIRST]) | {"candles": [page([FIRST])["candles"][0] | {"ask": prices("nan")}]},
        "sound numbers",
    ),
    "infinite": (
        lambda: page([FIRST]) | {"candles": [page([FIRST])["candles"][0] | {"bid": prices("inf")}]},
        "sound numbers",
    ),
    "no bid": (
        lambda: page([FIRST]) | {"candles": [{k: v for k, v in page([FIRST])["candles"][0].items() if k != "bid"}]},
        "no page of candles",
    ),
    "too many": (lambda: page([FIRST + 60 * n for n in range(200)]), "200 candles came where"),
    "words": (lambda: page([FIRST]) | {"candles": [page([FIRST])["candles"][0] | {"mid": prices("dear")}]}, "no page"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_page_that_cannot_be_true_is_an_error(case):
    make, words = BROKEN[case]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(make()).encode()})

    with serve(FaultApp(app)) as served:
        source = OandaCandles("oanda", Oanda(url=served.url, retries=0))
        with pytest.raises(SourceError, match=words):
            source.candles("EUR_USD", "M1", START, START + timedelta(hours=1))


def test_a_sound_page_passes_the_same_checks():
    content = json.dumps(page([FIRST, FIRST + 60])).encode()
    assert len(Page(content, "oanda", "EUR_USD", "M1", FIRST, 10)) == 2

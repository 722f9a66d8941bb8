"""The server's answers beside recorded ones of OANDA, key by key; its errors, its limit, its stream."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fx_assets.practice.stream import HEARTBEAT_S
from tests.servers.oanda import ACCOUNT, TOKEN, OandaServer, minute_history, oanda_server

RECORDED = Path(__file__).parents[2] / "data" / "oanda"
NOW = "2022-01-12T15:20:33Z"
BELOW = f"/v3/accounts/{ACCOUNT}"


@pytest.fixture(scope="module")
def server() -> Iterator[OandaServer]:
    with oanda_server(NOW, requests_per_s=10_000) as running:
        yield running


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as made:
        yield made


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


def shape(value: Any) -> Any:
    """A value's nesting, keys and kinds of text; of lists the shape of their first entry."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", value):
            return "RFC 3339, nine decimals"
        if found := re.fullmatch(r"\d+(?:\.(\d+))?", value):
            return f"number with {len(found[1] or '')} decimals"
        return "text"
    return type(value).__name__


def test_candles_have_the_recorded_shape(client):
    """Recorded with price=A and granularity=D."""
    answer = client.get("/v3/instruments/GBP_USD/candles", params={"price": "A", "granularity": "D", "count": 4})
    assert shape(answer.json()) == shape(recorded("candles.json"))
    assert answer.headers["content-type"] == "application/json"
    complete = [candle["complete"] for candle in recorded("candles.json")["candles"]]
    assert [candle["complete"] for candle in answer.json()["candles"]] == complete == [True, True, True, False]


@pytest.mark.parametrize("price", ["M", "B", "A", "MB", "BA", "MBA"])
def test_each_price_that_is_asked_for_comes_with_the_decimals_of_its_instrument(client, price):
    names = {"M": "mid", "B": "bid", "A": "ask"}
    for symbol, decimals in (("GBP_USD", 5), ("USD_JPY", 3)):
        params = {"price": price, "granularity": "H1", "count": 3}
        for candle in client.get(f"/v3/instruments/{symbol}/candles", params=params).json()["candles"]:
            assert set(candle) == {"complete", "volume", "time"} | {names[letter] for letter in price}
            for letter in price:
                assert shape(candle[names[letter]]) == dict.fromkeys("ohlc", f"number with {decimals} decimals")
                first, high, low, last = (float(candle[names[letter]][field]) for field in "ohlc")
                assert low <= min(first, last) <= max(first, last) <= high


def test_the_accounts_candles_are_the_same(client):
    params = {"price": "MBA", "granularity": "M1", "count": 20}
    one, other = (client.get(f"{start}/instruments/GBP_USD/candles", params=params).json() for start in ("/v3", BELOW))
    assert one == other


def test_times_come_as_seconds_where_they_are_asked_for(client):
    params = {"granularity": "M1", "count": 2}
    seconds, text = (
        client.get("/v3/instruments/GBP_USD/candles", params=params, headers=headers).json()["candles"][0]["time"]
        for headers in ({"Accept-Datetime-Format": "UNIX"}, {"Accept-Datetime-Format": "RFC3339"})
    )
    assert (seconds, text) == ("1642000740.000000000", "2022-01-12T15:19:00.000000000Z")


def test_instruments_have_the_recorded_values(client):
    """Everything that OANDA says of USD_JPY, and the shape of the list."""
    answer = client.get(f"{BELOW}/instruments", params={"instruments": "USD_JPY"}).json()
    ours, theirs = recorded("instruments.json")["instruments"]
    assert answer["instruments"] == [next(i for i in (ours, theirs) if i["name"] == "USD_JPY")]
    every = client.get(f"{BELOW}/instruments").json()
    assert shape(every) == shape(recorded("instruments.json"))
    assert {i["name"] for i in every["instruments"]} == {"GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"}


def test_pricing_has_the_recorded_shape(client):
    answer = client.get(f"{BELOW}/pricing", params={"instruments": "GBP_USD,AUD_USD"}).json()
    assert shape(answer) == shape(recorded("pricing.json"))
    assert [price["instrument"] for price in answer["prices"]] == ["GBP_USD", "AUD_USD"]
    assert answer["prices"][0]["tradeable"] is True


def test_a_closed_market_is_not_tradeable(server, client):
    server.clock.set("2022-01-08T12:00:00Z")
    try:
        price = client.get(f"{BELOW}/pricing", params={"instruments": "GBP_USD"}).json()["prices"][0]
    finally:
        server.clock.set(NOW)
    theirs = recorded("pricing.json")["prices"][0]
    assert (price["status"], price["tradeable"]) == (theirs["status"], theirs["tradeable"])
    assert price["time"] < "2022-01-07T22:00"


def test_stream_lines_have_the_recorded_shape(client):
    lines = []
    with client.stream("GET", f"{BELOW}/pricing/stream", params={"instruments": "GBP_USD,AUD_USD"}) as answer:
        for line in answer.iter_lines():
            lines.append(json.loads(line))
            if len(lines) == 3:
                break
    theirs = [json.loads(line) for line in (RECORDED / "stream.ndjson").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["PRICE", "PRICE", "HEARTBEAT"]
    for ours in lines:
        assert shape(ours) == shape(next(line for line in theirs if line["type"] == ours["type"]))


def test_heartbeats_come_every_five_seconds(server, client):
    recorded_beats = [line["time"] for line in map(json.loads, (RECORDED / "stream.ndjson").read_text().splitlines())]
    assert float(recorded_beats[4][17:19]) - float(recorded_beats[3][17:19]) == HEARTBEAT_S
    with oanda_server("2022-01-08T12:00:00Z", speed=20) as closed:
        beats = []
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Datetime-Format": "UNIX"}
        params = {"instruments": "GBP_USD", "snapshot": "false"}
        with httpx.stream("GET", f"{closed.url}{BELOW}/pricing/stream", headers=headers, params=params) as answer:
            for line in answer.iter_lines():
                beats.append(float(json.loads(line)["time"]))
                if len(beats) == 4:
                    break
    assert all(5 <= b - a < 12 for a, b in itertools.pairwise(beats))  # 0.25 s of the wall clock


CANDLES = "/v3/instruments/GBP_USD/candles"
ERRORS = [
    (CANDLES, {"count": "5001"}, 400, "Maximum value for 'count' exceeded"),
    (
        CANDLES,
        {"from": "2021-03-01T00:00:00Z", "to": "2021-03-05T00:00:00Z", "granularity": "M1"},
        400,
        "Maximum value for 'count' exceeded",
    ),
    (CANDLES, {"to": "2023-01-01T00:00:00Z"}, 400, "Invalid value specified for 'to'. Time is in the future"),
    (CANDLES, {"from": "4000000000"}, 400, "Invalid value specified for 'from'. Time is in the future"),
    (CANDLES, {"from": "yesterday"}, 400, "Invalid value specified for 'from'"),
    (CANDLES, {"granularity": "M7"}, 400, "Invalid value specified for 'granularity'"),
    (CANDLES, {"price": "X"}, 400, "Invalid value specified for 'price'"),
    (CANDLES, {"count": "-1"}, 400, "Invalid value specified for 'count'"),
    (CANDLES, {"dailyAlignment": "25"}, 400, "Invalid value specified for 'dailyAlignment'"),
    (CANDLES, {"alignmentTimezone": "Mars/Olympus"}, 400, "Invalid value specified for 'alignmentTimezone'"),
    (CANDLES, {"includeFirst": "perhaps"}, 400, "Invalid value specified for 'includeFirst'"),
    ("/v3/instruments/XXX_YYY/candles", {}, 400, "Invalid value specified for 'instrument'"),
    (f"{BELOW}/pricing", {"instruments": "XXX_YYY"}, 400, "Invalid value specified for 'instruments'"),
    (f"{BELOW}/pricing", {}, 400, "The request was missing required data"),
    ("/v3/accounts/101-001-1-001/pricing", {"instruments": "GBP_USD"}, 403, "The provided request was forbidden."),
    ("/v3/no/such/thing", {}, 404, "The requested resource was not found"),
]


@pytest.mark.parametrize(("path", "params", "status", "message"), ERRORS)
def test_errors_are_oandas(client, path, params, status, message):
    answer = client.get(path, params=params)
    assert answer.status_code == status
    assert answer.json() == {"errorMessage": message}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
@pytest.mark.parametrize("path", ["/v3/accounts", CANDLES, "/v3/no/such/thing"])
def test_without_the_token_nothing_is_answered(server, headers, path):
    answer = httpx.get(server.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"errorMessage": "Insufficient authorization to perform request."}


def test_the_account_lists_itself(client):
    assert client.get("/v3/accounts").json() == {"accounts": [{"id": ACCOUNT, "tags": []}]}


def test_more_than_the_limit_in_a_second_is_answered_429():
    with oanda_server(NOW, {"EUR_USD": minute_history("EUR_USD", "2022-01-12", 100)}, requests_per_s=5) as server:
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            answers = [client.get("/v3/accounts") for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert answers[-1].headers["retry-after"] == "1"
        assert server.traffic.figures() == {
            "requests": 8,
            "requests_per_s": 8,
            "connections": 1,
            "connections_per_s": 1,
        }


def test_a_page_of_five_thousand(server, client):
    """Of the shortest bars too, which are drawn."""
    params = {"price": "MBA", "granularity": "M1", "count": 5000, "from": "2021-06-01T00:00:00Z"}
    assert len(client.get(CANDLES, params=params).json()["candles"]) == 5000

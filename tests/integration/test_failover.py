"""Brokers that fail in every way, over real HTTP, through the assets: the next source is used, or the run fails with
the remedy; nothing false enters silver.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from fx_assets.bronze.failover import FAILURES
from fx_assets.bronze.files import CANDLES
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, checks, configuration_of, write_config
from tests.servers.faults import FaultApp, dead_url, serve
from tests.servers.oanda import ACCOUNT, TOKEN, OandaServer, oanda_server

FIRST, LAST = "2021-03-01", "2021-03-18"
TABLES = ("bronze/candles", "silver/candles")
SYMBOLS = ("GBP_USD", "USD_JPY")
THREADS = 4


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[OandaServer, OandaServer]]:
    """Two accounts with the sample's history."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OANDA_TOKEN", TOKEN)
        patch.setenv("OANDA_ACCOUNT", ACCOUNT)
        yield (
            stack.enter_context(oanda_server("2021-06-01T00:00Z")),
            stack.enter_context(oanda_server("2021-06-01T00:00Z")),
        )


def build_platform(folder: Path, instance: dg.DagsterInstance, *urls: str, retries: int = 1) -> Platform:
    """A platform whose instruments have brokers at these URLs, in this order."""
    names = [f"broker{number}" for number in range(len(urls))]
    sources = {
        name: {"kind": "oanda", "url": url, "timeout_s": 1.5, "retries": retries}
        for name, url in zip(names, urls, strict=True)
    }
    tree = changed(INSTRUMENTS, sessions__start=FIRST, sessions__end=LAST, news__sources=[])
    tree |= {"sources": sources, "defaults": {"sources": names}}
    with pytest.MonkeyPatch.context() as patch:
        configuration = configuration_of(write_config(folder / "config", tree), patch)
    return Platform(folder / "home", configuration, instance)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def platform(tmp_path: Path, instance) -> Callable[..., Platform]:
    """platform(first URL, second URL)"""
    return partial(build_platform, tmp_path, instance)


def candles(platform: Platform) -> pd.DataFrame:
    """Silver of all sessions, without its source."""
    return platform.lake.table("silver/candles").drop(columns="source")


@pytest.fixture(scope="module")
def truth(tmp_path_factory, brokers, instance) -> pd.DataFrame:
    """Silver as a broker in good health makes it."""
    sound = build_platform(tmp_path_factory.mktemp("sound"), instance, brokers[1].url)
    sound.run(TABLES, FIRST, LAST)
    return candles(sound)


def exchanged(candle: dict[str, Any]) -> None:
    for side in ("bid", "mid", "ask"):
        if side in candle:
            candle[side]["h"], candle[side]["l"] = candle[side]["l"], candle[side]["h"]


def absurd(candle: dict[str, Any]) -> None:
    candle["time"] = "1e300"


# Well-formed, and never true: highs and lows exchanged, and times that no calendar reaches.
UNTRUE = {"impossible": exchanged, "absurd": absurd}


def untrue(app: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """A broker all of whose candles are changed."""

    async def answer(scope, receive, send) -> None:
        messages: list = []

        async def collect(message) -> None:
            messages.append(message)

        await app(scope, receive, collect)
        body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        start = next(m for m in messages if m["type"] == "http.response.start")
        if b'"candles"' in body:
            told = json.loads(body)
            for candle in told["candles"]:
                change(candle)
            body = json.dumps(told).encode()
        kept = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        await send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    return answer


def reason(failed: dg.ExecuteInProcessResult) -> str:
    """What the first failed step said, in our own words."""
    error = next(event for event in failed.all_events if event.is_step_failure).step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    assert error is not None
    assert error.cls_name == "StoreError"
    return error.message


FAULTS = ("slow", "garbage", "nonsense", "truncated", "rate_limited", "unauthorized", "server_error", "hang_up")


@pytest.mark.slow(75)
@pytest.mark.parametrize("kind", ["dead", *UNTRUE, *FAULTS])
def test_when_the_first_source_fails_the_next_one_is_used(platform, brokers, truth, kind):
    bad, good = brokers
    with ExitStack() as stack:
        url, asked = stack.enter_context(failing(bad, kind))
        built = platform(url, good.url)
        started = time.monotonic()
        done = built.run(TABLES, FIRST, LAST)
        took = time.monotonic() - started
        requests = asked()
    assert done.success
    pd.testing.assert_frame_equal(candles(built), truth, check_exact=True)
    assert set(built.lake.table("silver/candles")["source"]) == {"broker1"}
    assert took < 60, "a source that is down must not be waited for once for each of 28 requests"
    if kind != "unauthorized":  # each of the threads may have been under way; then it rests
        assert requests <= 2 * (FAILURES + THREADS)
    told = checks(done)["bronze/candles/fetched"]
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    failed = str(told.metadata["failed"].value)
    assert "'source': 'broker0'" in failed
    events = [str(event.event_specific_data) for event in done.all_events]
    assert TOKEN not in failed + "".join(events)


@contextmanager
def failing(broker: OandaServer, kind: Any) -> Iterator[tuple[str, Callable[[], int]]]:
    """The broker, failing: (URL, how many requests it was asked)."""
    if kind in UNTRUE:
        door = FaultApp(untrue(broker.faults, UNTRUE[kind]))
        with serve(door) as served:
            yield served.url, lambda: door.requests
        return
    before = broker.faults.requests
    if kind != "dead":
        broker.faults.fault(kind)
    try:
        yield (dead_url() if kind == "dead" else broker.url), lambda: broker.faults.requests - before
    finally:
        broker.faults.fault(None)


@pytest.mark.slow
def test_when_every_source_fails_the_run_fails_with_the_remedy_and_goes_on_later(platform, brokers, truth):
    bad, _ = brokers
    built = platform(dead_url(), bad.url)
    bad.faults.fault("garbage", where="USD_JPY")
    try:
        failed = built.run(TABLES, FIRST, FIRST, must=False)
    finally:
        bad.faults.fault(None)
    assert not failed.success
    told = reason(failed)
    assert "USD_JPY, session 2021-03-01: no source answered. broker0: " in told
    assert "| broker1: " in told
    assert "add another source to its list in instruments.yaml" in told
    assert TOKEN not in told
    # What another instrument was answered is kept; of this one there is nothing, and silver was not made.
    assert built.bronze.sessions(CANDLES, SYMBOLS) == {"GBP_USD": {FIRST}, "USD_JPY": set()}
    assert len(built.bronze.files(CANDLES, FIRST, SYMBOLS)) == 1, "a retry does not fetch again what it has"
    assert built.lake.keys("silver/candles") == []
    built.run(TABLES, FIRST, LAST)
    pd.testing.assert_frame_equal(candles(built), truth, check_exact=True)


@pytest.mark.slow
def test_a_source_that_fails_for_a_while_is_used_again(platform, brokers, truth):
    bad, good = brokers
    bad.faults.fault("server_error", times=FAILURES - 1)
    try:
        built = platform(bad.url, good.url, retries=0)
        built.run(TABLES, FIRST, LAST)
    finally:
        bad.faults.fault(None)
    pd.testing.assert_frame_equal(candles(built), truth, check_exact=True)
    by_source = built.lake.table("silver/candles").groupby("source").size()
    assert by_source.to_dict() == {"broker0": len(truth) - 48, "broker1": 48}

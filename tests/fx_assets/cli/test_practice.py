"""fx practice as a user runs it: what it writes, that it answers, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.practice.history import load_history
from fx_assets.practice.home import default_start, first_session
from fx_assets.sources.oanda import OandaCandles
from fx_assets.stack.ports import free_port
from fx_serving.client.clock import now
from tests.servers.oanda import minute_history

COMMAND = [sys.executable, "-c", "from fx_serving.cli import main; main()", "practice"]


def start(home: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--home", str(home), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def refused(home: Path, *options: str) -> str:
    done = subprocess.run(
        [*COMMAND, "--home", str(home), *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def wait_for(path: Path, process: subprocess.Popen[str]) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            return json.loads(path.read_text())
        time.sleep(0.05)
    raise AssertionError(process.communicate(timeout=10)[0] if process.poll() is not None else "it did not start")


@pytest.fixture
def running(tmp_path) -> Iterator[tuple[Path, dict, subprocess.Popen[str]]]:
    process = start(tmp_path, "--port", str(free_port()), "--start", "2022-01-12T15:00:00Z")
    try:
        yield tmp_path, wait_for(tmp_path / "practice.json", process), process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_an_account_writes_its_home_and_goes_without_a_trace(running, monkeypatch, number):
    home, address, process = running
    assert address["pid"] == process.pid
    assert address["stream_url"] == address["url"]
    monkeypatch.setenv("FX_CONFIG_DIR", str(home / "config"))
    for name, value in (("FX_CLOCK", "clock"), ("OANDA_TOKEN", "token"), ("OANDA_ACCOUNT", "account")):
        monkeypatch.setenv(name, address[value])
    assert abs(now() - datetime(2022, 1, 12, 15, tzinfo=UTC)) < timedelta(minutes=2)

    file = load_configuration().instruments
    assert {symbol: (i.granularity, i.sources) for symbol, i in file.instruments.items()} == {
        symbol: ("M1", ("oanda",)) for symbol in ("AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY")
    }
    assert (file.sessions.start.isoformat(), file.sessions.end) == ("2021-12-30", None)
    assert file.news.sources == ("sample",)
    options = file.source("oanda")
    assert options.stream  # type: ignore[union-attr]
    source = OandaCandles("oanda", options)  # type: ignore[arg-type]
    frame = source.candles("GBP_USD", "M1", now() - timedelta(minutes=30), now())
    source.close()
    assert len(frame) in (29, 30)

    headers = {"Authorization": f"Bearer {address['token']}"}
    stream = f"{address['url']}/v3/accounts/{address['account']}/pricing/stream"
    with httpx.stream("GET", stream, params={"instruments": "GBP_USD"}, headers=headers) as answer:
        assert "GBP_USD" in next(answer.iter_lines())
        process.send_signal(number)  # a client that listens does not keep it
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "Traceback" not in out, out
    assert f"fx up --home {home}" in out
    assert address["token"] not in out
    assert sorted(p.name for p in home.iterdir()) == ["config"]


def test_a_second_one_on_the_same_home_is_refused_and_a_configuration_is_left_alone(running):
    home, address, process = running
    assert f"process {process.pid}" in refused(home)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    mine = (home / "config" / "instruments.yaml").read_text().replace(address["url"], "http://127.0.0.1:1")
    (home / "config" / "instruments.yaml").write_text(mine)
    out = once(home, "--start", "2022-01-12T15:00:00Z")
    assert "names http://127.0.0.1:1 for oanda" in out
    assert "--granularity" not in out
    assert "--history" not in out
    assert "begins its tables" not in out
    assert (home / "config" / "instruments.yaml").read_text() == mine


def once(home: Path, *options: str) -> str:
    """What it prints until it serves, and while it is stopped."""
    process = start(home, "--port", str(free_port()), *options)
    wait_for(home / "practice.json", process)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=120)[0]


def test_what_an_existing_configuration_overrules_is_said(running, tmp_path_factory):
    home, _, process = running
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    out = once(home, "--start", "2021-06-02T15:00:00Z", "--granularity", "H1")
    assert "has M1 bars, so --granularity H1 changes nothing" in out
    assert (
        "begins its tables on 2021-12-30, later than the 2021-05-20 that the start on 2021-06-02 needs (--start)" in out
    )
    assert "--history" not in out
    file = tmp_path_factory.mktemp("history") / "EUR_USD_M1.csv"
    candles = pd.DataFrame({"time": pd.date_range("2022-01-03", periods=20_000, freq="min", tz="UTC")})
    for column in ("open", "high", "low", "close"):
        candles[column] = 1.1
    candles.to_csv(file, index=False)
    out = once(home, "--history", str(file), "--granularity", "M1")
    assert "asks for AUD_USD, GBP_USD, USD_CAD, USD_JPY, which --history does not hold" in out
    assert "does not name EUR_USD of --history" in out
    assert "--granularity" not in out


@pytest.mark.slow(60)
@pytest.mark.parametrize("after_s", [0.3, 0.8, 1.3, 1.8])
def test_an_early_interrupt_ends_it(tmp_path, after_s):
    process = start(tmp_path, "--port", str(free_port()))
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 1, 130, -signal.SIGINT), out
    assert not (tmp_path / "practice.json").exists()


@pytest.mark.parametrize("moments", range(4))
def test_an_interrupt_right_after_it_listens_ends_it(tmp_path, moments):
    """practice.json appears before the event loop runs; what comes in between must not be lost."""
    process = start(tmp_path, "--port", str(free_port()))
    deadline = time.monotonic() + 60
    while not (tmp_path / "practice.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(moments * 0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "Traceback" not in out, out
    assert out.endswith("stopped\n")
    assert not (tmp_path / "practice.json").exists()


def test_a_killed_one_does_not_block_the_next(running):
    home, _, process = running
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (home / "practice.json").exists()
    again = start(home, "--port", str(free_port()))
    try:
        deadline = time.monotonic() + 60
        while json.loads((home / "practice.json").read_text())["pid"] != again.pid and time.monotonic() < deadline:
            time.sleep(0.05)
        assert json.loads((home / "practice.json").read_text())["pid"] == again.pid
    finally:
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=120)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--start", "2031-01-01T00:00:00Z"], "has history from 2020-09-30"),
        (["--start", "noon"], "--start: 'noon' is not an ISO 8601"),
        (["--granularity", "D"], "--granularity: 'D' is not one of M1"),
        (["--history", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_mistakes_are_told_with_a_remedy(tmp_path, options, words):
    assert words in refused(tmp_path, *options).replace("\n", "")
    assert not list(tmp_path.iterdir())


def test_the_default_start_is_a_working_day_in_market_hours_with_most_of_the_history_before_it():
    histories = load_history("sample")
    start = default_start(histories)
    assert start.weekday() in (1, 2, 3)
    assert start.hour == 15
    assert pd.Timestamp("2021-09-01T00:00Z") < start < pd.Timestamp("2022-01-31T00:00Z")


def test_the_first_session_is_eight_back_but_never_before_the_history():
    histories = {"EUR_USD": minute_history("EUR_USD", "2021-03-01", 40_000)}
    wednesday = datetime(2021, 3, 24, 15, tzinfo=UTC)
    # Made-up bars trade at weekends too: every day is a session.
    assert str(first_session(histories, wednesday, "M1")) == "2021-03-15"
    assert str(first_session(histories, wednesday, "H1")) == "2021-02-28"

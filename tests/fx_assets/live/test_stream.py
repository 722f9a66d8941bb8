"""The stream process: bars of a real server's prices in bronze, the note for the sensor, refusals, the command."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.live.newest import Newest, read_newest, write_newest
from fx_assets.live.stream import REFUSED, Writer, run_stream, run_streams
from fx_assets.live.streams import is_live, streamed
from fx_assets.sources.oanda_bars import StreamBar
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config
from tests.servers.oanda import ACCOUNT, TOKEN, oanda_server
from tests.servers.platform import environment
from tests.servers.serving import wait_until

ROOT = Path(__file__).resolve().parents[3]
PRICES = (1.1, 1.2, 1.0, 1.15)


def instruments(url: str, **paths) -> dict:
    live = {"sources": {"oanda": {"url": url, "stream_url": url, "stream": True, "retries": 0}}}
    base = changed(INSTRUMENTS, sessions={"start": "2022-01-10"}, defaults={"granularity": "M1", "sources": ["oanda"]})
    return changed({**base, **live}, **paths)


@pytest.fixture
def configured(tmp_path, monkeypatch):
    monkeypatch.setenv("OANDA_TOKEN", TOKEN)
    monkeypatch.setenv("OANDA_ACCOUNT", ACCOUNT)

    def make(url: str = "http://127.0.0.1:9", **paths):
        folder = tmp_path / f"config{len(list(tmp_path.iterdir()))}"
        return configuration_of(write_config(folder, instruments(url, **paths)), monkeypatch)

    return make


def bar(time: str, instrument: str = "GBP_USD") -> StreamBar:
    seconds = datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    return StreamBar(instrument, 1, (seconds, *PRICES, 7.0, *PRICES, *PRICES))


def test_prices_become_bars_in_bronze_and_a_note(tmp_path, configured):
    home, stop = tmp_path / "home", threading.Event()
    with oanda_server("2022-01-12T21:57:40Z", speed=20) as server:
        configuration = configured(server.url)
        writer = Writer(home, Bronze(home / "lake"), all_week=False)
        work = threading.Thread(target=run_stream, args=(configuration, "oanda", writer, stop, server.clock.now))
        work.start()
        try:
            # Over 22:00: the rollover of New York's winter.
            wait_until(lambda: set(writer._bars) == {"GBP_USD", "USD_JPY"} and newest(home) >= "22:01")
        finally:
            stop.set()
            work.join(60)
    rows = Bronze(home / "lake").read(CANDLES, ["2022-01-11", "2022-01-12"], ["GBP_USD", "USD_JPY"])
    assert set(rows["fetch_source"]) == {"oanda_stream"}
    before = rows[rows["time"] < pd.Timestamp("2022-01-12T22:00Z")]
    assert set(before["session"]) == {"2022-01-11"}
    assert set(rows["session"]) == {"2022-01-11", "2022-01-12"}
    # The minute that the connection began in was not seen whole.
    assert rows["time"].min() == pd.Timestamp("2022-01-12T21:58Z")
    assert not rows.duplicated(["instrument", "time"]).any()
    assert (rows["bid_close"] <= rows["ask_close"]).all()


def newest(home: Path) -> str:
    found = read_newest(home)
    return min((f"{time:%H:%M}" for time in found.bars.values()), default="") if found else ""


def test_the_note_keeps_the_other_instruments_over_a_restart(tmp_path):
    written = {"USD_JPY": datetime(2022, 1, 12, 14, tzinfo=UTC)}
    write_newest(tmp_path, Newest(datetime.now(UTC), written))
    assert Writer(tmp_path, Bronze(tmp_path / "lake"), False).write("oanda", "GBP_USD", bar("2022-01-12T15:00"))
    found = read_newest(tmp_path)
    assert found is not None
    assert found.bars == {**written, "GBP_USD": datetime(2022, 1, 12, 15, tzinfo=UTC)}


def test_a_bar_that_cannot_be_stored_is_not_announced(tmp_path, caplog):
    (tmp_path / "lake").write_text("a file where the folder should be")
    assert not Writer(tmp_path, Bronze(tmp_path / "lake"), False).write("oanda", "GBP_USD", bar("2022-01-12T15:00"))
    assert read_newest(tmp_path) is None
    assert "GBP_USD 2022-01-12T15:00:00+00:00 is left to the next fetch" in caplog.text


def test_only_the_first_source_streams_and_only_where_it_is_live(configured):
    assert streamed(configured()) == {"oanda": {"GBP_USD": "GBP_USD", "USD_JPY": "USD_JPY"}}
    second = {"typical_spread": 0.01, "sources": ["sample", "oanda"], "granularity": "H1"}
    assert streamed(configured(instruments__USD_JPY=second)) == {"oanda": {"GBP_USD": "GBP_USD"}}
    renamed = {"typical_spread": 0.0001, "symbols": {"oanda": "GBPUSD"}}
    assert streamed(configured(instruments__GBP_USD=renamed))["oanda"]["GBPUSD"] == "GBP_USD"
    assert streamed(configured(sources__oanda__stream=False)) == {}
    ended = configured(sessions={"start": "2022-01-10", "end": "2022-01-12"})
    assert not is_live(ended)
    assert streamed(ended) == {}


def test_a_wrong_token_is_refused_in_words_and_not_tried_again(tmp_path, configured, monkeypatch, caplog):
    monkeypatch.setenv("OANDA_TOKEN", "wrong" * 8)
    with oanda_server("2022-01-12T15:20:40Z") as server:
        assert run_streams(configured(server.url), tmp_path, threading.Event()) == REFUSED
    assert "Candles are fetched every 300 s instead" in caplog.text
    assert "wrong" * 8 not in caplog.text


def test_the_command_ends_with_code_3_where_nothing_is_set(tmp_path):
    folder = write_config(tmp_path / "config", instruments("http://127.0.0.1:9"))
    variables = environment(FX_HOME=str(tmp_path), FX_CONFIG_DIR=str(folder))
    variables = {k: v for k, v in variables.items() if not k.startswith("OANDA")}
    done = subprocess.run(
        [sys.executable, "-m", "fx_assets.live.stream"],
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == REFUSED, done.stderr
    assert "OANDA_" in done.stderr


def test_the_command_stops_on_sigterm(tmp_path):
    with oanda_server("2022-01-12T15:20:40Z", speed=1) as server:
        folder = write_config(tmp_path / "config", instruments(server.url))
        clock = f"{server.clock.now().isoformat()}@{datetime.now(UTC).isoformat()}"
        variables = environment(
            FX_HOME=str(tmp_path), FX_CONFIG_DIR=str(folder), OANDA_TOKEN=TOKEN, OANDA_ACCOUNT=ACCOUNT, FX_CLOCK=clock
        )
        log = (tmp_path / "stream.log").open("w+")
        child = subprocess.Popen([sys.executable, "-m", "fx_assets.live.stream"], env=variables, cwd=ROOT, stderr=log)
        try:
            wait_until(lambda: "streaming" in (tmp_path / "stream.log").read_text())
            os.kill(child.pid, signal.SIGTERM)
            assert child.wait(120) == 0, (tmp_path / "stream.log").read_text()
        finally:
            child.kill()
            child.wait()
            log.close()


def test_a_hole_that_all_instruments_have_begins_a_new_row_and_a_quiet_minute_of_one_does_not(tmp_path):
    writer = Writer(tmp_path, Bronze(tmp_path / "lake"), False)

    def since(*bars: StreamBar) -> dict[str, str]:
        for one in bars:
            assert writer.write("oanda", one.instrument, one)
        found = read_newest(tmp_path)
        assert found is not None
        return {symbol: f"{time:%H:%M}" for symbol, time in found.since.items()}

    assert since(bar("2022-01-12T15:00"), bar("2022-01-12T15:00", "USD_JPY")) == {
        "GBP_USD": "15:00",
        "USD_JPY": "15:00",
    }
    assert since(bar("2022-01-12T15:01"), bar("2022-01-12T15:02")) == {"GBP_USD": "15:00", "USD_JPY": "15:00"}
    assert since(bar("2022-01-12T15:03", "USD_JPY")) == {"GBP_USD": "15:00", "USD_JPY": "15:00"}
    assert since(bar("2022-01-12T15:06")) == {"GBP_USD": "15:06", "USD_JPY": "15:00"}
    assert since(bar("2022-01-12T15:06", "USD_JPY")) == {"GBP_USD": "15:06", "USD_JPY": "15:06"}

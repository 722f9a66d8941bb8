"""The OANDA client against the local server: ten years of one-minute candles of one instrument.

python -m benchmarks.oanda        (serves the history; `measure` starts it in a process of its own)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import Figure

ROOT = Path(__file__).resolve().parents[1]
SECTION = "oanda"
SYMBOL, TOKEN = "EUR_USD", "a-token-of-the-benchmark"
FIRST_SUNDAY = datetime(2012, 1, 1, 22, tzinfo=UTC)
WEEKS, WEEK_MINUTES = 520, 5 * 1440
BRONZE_WEEKS = 26


def history(weeks: int = WEEKS) -> Any:
    """One-minute bars from Sunday 22:00 to Friday 22:00 UTC, in memory."""
    from benchmarks.features import one_minute_bars
    from fx_assets.practice.history import from_frame

    frame = one_minute_bars(weeks * WEEK_MINUTES)
    minute = np.arange(len(frame))
    seconds = FIRST_SUNDAY.timestamp() + 60 * (minute % WEEK_MINUTES) + 604_800 * (minute // WEEK_MINUTES)
    frame["time"] = pd.DatetimeIndex(seconds.astype("datetime64[s]"), tz="UTC")
    frame = frame.round(5)
    return from_frame(SYMBOL, frame.drop(columns="instrument"))


def serve() -> None:
    """The server, until its input is closed; writes its address as the first line."""
    import threading

    import uvicorn

    from fx_assets.practice.app import PracticeServer
    from fx_assets.practice.market import Market
    from fx_assets.practice.traffic import Traffic
    from fx_assets.stack.ports import LOOPBACK, free_port

    made = history()
    traffic = Traffic()
    now = made.span[1].timestamp()
    practice = PracticeServer(Market({SYMBOL: made}), lambda: now, "0", TOKEN, traffic)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/figures":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(traffic.figures()).encode()})
            return
        await practice(scope, receive, send)

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=LOOPBACK, port=port, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    print(f"http://{LOOPBACK}:{port}", flush=True)
    sys.stdin.read()
    server.should_exit = True
    thread.join()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a server in a process of its own, so that its CPU is not the client's."""
    command = [sys.executable, "-m", "benchmarks.oanda"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip()
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(timeout=30)


def measure() -> Iterator[Figure]:
    """Candles a second of the client's CPU and of the wall clock, year by year, and the rate that the server saw."""
    from fx_assets.sources.oanda import OandaCandles
    from fx_assets.sources.options import Oanda

    os.environ["OANDA_TOKEN"] = TOKEN
    weeks = [FIRST_SUNDAY + timedelta(weeks=n) for n in range(0, WEEKS + 1, WEEKS // 10)]
    with served() as url:
        source = OandaCandles("oanda", Oanda(url=url, timeout_s=60))
        source.candles(SYMBOL, "M1", weeks[0], weeks[0] + timedelta(days=1))  # connects, and loads what is needed
        rows, frame = 0, pd.DataFrame()
        wall, cpu = time.perf_counter(), time.process_time()
        for start, end in itertools.pairwise(weeks):
            frame = source.candles(SYMBOL, "M1", start, end)
            rows += len(frame)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        source.close()
        with urllib.request.urlopen(f"{url}/figures", timeout=10) as answer:
            seen = json.loads(answer.read())
    assert rows == WEEKS * WEEK_MINUTES, f"{rows} candles came"
    how = f"{rows:,} M1 candles with middle, bid and ask, parsed to columns; {seen['requests']} requests"
    yield Figure(SECTION, "candles per CPU second of the client", rows / cpu, "candles/s", how)
    yield Figure(SECTION, "candles per second", rows / wall, "candles/s", "wall clock, the server on the same machine")
    yield Figure(
        SECTION, "most requests in a second", seen["requests_per_s"], "requests", "seen by the server; limit 120"
    )
    yield Figure(SECTION, "most new connections in a second", seen["connections_per_s"], "connections", "limit 2")
    yield from _bronze(frame.head(BRONZE_WEEKS * WEEK_MINUTES))


def _bronze(frame: pd.DataFrame) -> Iterator[Figure]:
    """Writing the same candles to bronze, session by session."""
    from fx_assets.bronze.files import CANDLES, Bronze
    from fx_assets.sessions import session_keys

    sessions = list(frame.groupby(session_keys(frame["time"])))
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        bronze = Bronze(Path(folder))
        wall, cpu = time.perf_counter(), time.process_time()
        for key, part in sessions:
            bronze.append(CANDLES, SYMBOL, str(key), "oanda", part, datetime.now(UTC))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    how = f"{len(frame):,} candles of {len(sessions)} sessions, one file each, fsync included"
    yield Figure(SECTION, "bronze write per CPU second", len(frame) / cpu, "candles/s", how)
    yield Figure(SECTION, "bronze write per second", len(frame) / wall, "candles/s", "wall clock")


if __name__ == "__main__":
    serve()

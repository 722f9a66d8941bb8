"""Every source as the contract suites see it: how to make one, the truth behind its server, and how that can fail.

The truth is a made-up market of EUR_USD; each server tells it in its own protocol, over real sockets.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.sources import make_source
from fx_assets.sources.options import KINDS
from fx_assets.synthetic import bars, weeks
from tests.servers.alpha_vantage import alpha_vantage_app
from tests.servers.binance import INTERVALS, binance_app
from tests.servers.faults import FaultApp, dead_port, dead_url, serve
from tests.servers.files import files_app, s3_door
from tests.servers.finnhub import finnhub_app
from tests.servers.oanda import TOKEN, oanda_server
from tests.servers.tws import Tws, serve_tws
from tests.servers.yahoo import yahoo_app

NOW = datetime(2025, 6, 13, 12, 30, tzinfo=UTC)  # a Friday noon: the bar from 12:00 is running
START, END = datetime(2025, 3, 5, tzinfo=UTC), datetime(2025, 6, 13, 12, tzinfo=UTC)
KEY = "k3y-0f-the-contract-suite-7f1e"
PRICES = ("open", "high", "low", "close")
SIDES = tuple(f"{side}_{price}" for side in ("bid", "ask") for price in PRICES)
#: One attempt may take a second, and one more is made.
PATIENCE = {"timeout_s": 1.0, "retries": 1}
#: Two attempts, a wait between them, and a machine that is busy with other things.
BOUND_S = 8.0
FAULTS = ("dead", "slow", "drip", "garbage", "nonsense", "truncated", "hang_up", "server_error")


@cache
def truth(granularity: str = "H1") -> pd.DataFrame:
    """EUR_USD from some weeks before START up to the bar that is running at NOW."""
    import numpy as np

    minutes = GRANULARITY_MINUTES[granularity]
    first, last = weeks.week_of(datetime(2025, 2, 1, tzinfo=UTC)), weeks.week_of(NOW) + 1
    made = bars.bars(11, "EUR", "USD", minutes, first, last, np.empty((0, 2), "int64"))
    times = pd.DatetimeIndex(made.time.astype("datetime64[us]")).tz_localize("UTC")
    frame = pd.DataFrame({"time": times, **made.columns})
    return frame[frame["time"] <= NOW].reset_index(drop=True)


@dataclass
class Case:
    """One source. make(**options) gives a new one; columns: what it answers with; fault switches its server's."""

    name: str
    make: Callable[..., Any]
    truth: pd.DataFrame
    columns: tuple[str, ...]
    fault: Callable[..., None] | None = None
    dead: Callable[[], Any] | None = None
    instrument: str = "EUR_USD"
    granularity: str = "H1"
    start: datetime = START
    end: datetime = END
    secrets: tuple[str, ...] = field(default=())

    def expected(self, start: datetime, end: datetime) -> pd.DataFrame:
        """What the source must answer for a range, running bars left out."""
        opens = self.truth["time"]
        length = pd.Timedelta(minutes=GRANULARITY_MINUTES[self.granularity])
        rows = self.truth[(opens >= start) & (opens < end) & (opens + length <= NOW)]
        return rows[["time", *self.columns]].reset_index(drop=True)


def options(kind: str, **given: Any) -> Any:
    """Options of a kind, impatient ones where it has patience."""
    fields = KINDS[kind].model_fields
    return KINDS[kind].model_validate({k: v for k, v in PATIENCE.items() if k in fields} | given)


def maker(kind: str, **fixed: Any) -> Callable[..., Any]:
    return lambda **more: make_source(kind, options(kind, **(fixed | more)))


@contextlib.contextmanager
def sample(_: Path) -> Iterator[Case]:
    from fx_assets.sources.sample import FOLDER

    frame = pd.read_parquet(FOLDER / "GBP_USD_H1.parquet").astype({"volume": "float64"})
    start, end = datetime(2021, 1, 4, tzinfo=UTC), datetime(2021, 3, 1, tzinfo=UTC)
    columns = tuple(name for name in frame.columns if name != "time")
    yield Case("sample", maker("sample"), frame, columns, instrument="GBP_USD", start=start, end=end)


@contextlib.contextmanager
def synthetic(_: Path) -> Iterator[Case]:
    yield Case("synthetic", maker("synthetic", seed=11), truth(), (*PRICES, "volume", *SIDES))


@contextlib.contextmanager
def file_local(folder: Path) -> Iterator[Case]:
    truth().to_parquet(folder / "EUR_USD_H1.parquet", index=False)
    truth("M1").tail(100).to_parquet(folder / "EUR_USD_M1.parquet", index=False)
    make = maker("file", path=str(folder))
    yield Case("file", make, truth(), (*PRICES, "volume", *SIDES))


@contextlib.contextmanager
def file_http(_: Path) -> Iterator[Case]:
    content = truth().assign(time=truth()["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(index=False).encode()
    server = FaultApp(files_app({"history/EUR_USD_H1.csv": content}))
    with serve(server) as served:
        path = "/history/{instrument}_{granularity}.csv?token=" + KEY
        make = maker("file", path=served.url + path)
        dead = maker("file", path=dead_url() + path)
        columns = (*PRICES, "volume", *SIDES)
        yield Case("file over http", make, truth(), columns, server.fault, dead)


@contextlib.contextmanager
def file_s3(folder: Path) -> Iterator[Case]:
    import boto3

    truth().to_parquet(folder / "a.parquet", index=False)
    with s3_door() as (bucket, server), pytest.MonkeyPatch.context() as patch:
        url = bucket()
        content = (folder / "a.parquet").read_bytes()
        boto3.client("s3").put_object(Bucket=urlsplit(url).netloc, Key="h/EUR_USD_H1.parquet", Body=content)
        make = maker("file", path=f"{url}/h")

        def dead() -> Any:
            patch.setenv("AWS_ENDPOINT_URL", dead_url())
            return make()

        columns, secrets = (*PRICES, "volume", *SIDES), (os.environ["AWS_SECRET_ACCESS_KEY"],)
        yield Case("file in s3", make, truth(), columns, server.fault, dead, secrets=secrets)


@contextlib.contextmanager
def oanda(_: Path) -> Iterator[Case]:
    from fx_assets.practice.history import from_frame

    history = {"EUR_USD": from_frame("EUR_USD", truth())}
    with oanda_server(NOW, history) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OANDA_TOKEN", TOKEN)
        make = maker("oanda", url=server.url)
        dead = maker("oanda", url=dead_url())
        columns = (*PRICES, "volume", *SIDES)
        yield Case("oanda", make, truth(), columns, server.faults.fault, dead, secrets=(TOKEN,))


@contextlib.contextmanager
def binance(_: Path) -> Iterator[Case]:
    candles = {("EURUSD", interval): truth(g) for interval, g in zip(INTERVALS, GRANULARITY_MINUTES, strict=True)}
    server = FaultApp(binance_app(candles))
    with serve(server) as served:
        make, dead = maker("binance", url=served.url), maker("binance", url=dead_url())
        yield Case("binance", make, truth(), (*PRICES, "volume"), server.fault, dead)


@contextlib.contextmanager
def yahoo(_: Path) -> Iterator[Case]:
    server = FaultApp(yahoo_app({("EURUSD=X", "1h"): truth()}, NOW.timestamp))
    with serve(server) as served:
        make, dead = maker("yfinance", url=served.url), maker("yfinance", url=dead_url())
        yield Case("yfinance", make, truth(), PRICES, server.fault, dead)


@contextlib.contextmanager
def alpha_vantage(_: Path) -> Iterator[Case]:
    server = FaultApp(alpha_vantage_app(KEY, {("EURUSD", "60min"): truth()}))
    with serve(server) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALPHAVANTAGE_API_KEY", KEY)
        make = maker("alpha_vantage", url=served.url, requests_per_s=50)
        dead = maker("alpha_vantage", url=dead_url(), requests_per_s=50)
        yield Case("alpha_vantage", make, truth(), PRICES, server.fault, dead)


@contextlib.contextmanager
def finnhub(_: Path) -> Iterator[Case]:
    server = FaultApp(finnhub_app(KEY, {("OANDA:EUR_USD", "60"): truth()}))
    with serve(server) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINNHUB_API_KEY", KEY)
        make = maker("finnhub", url=f"{served.url}/api/v1", requests_per_s=30)
        dead = maker("finnhub", url=dead_url(), requests_per_s=30)
        yield Case("finnhub", make, truth(), (*PRICES, "volume"), server.fault, dead)


@contextlib.contextmanager
def ib(_: Path) -> Iterator[Case]:
    tws = Tws({("EUR.USD", "1 hour"): truth(), ("EUR.USD", "1 day"): truth("D")})

    def fault(kind: str | None, times: int | None = None, **_: Any) -> None:
        tws.fault, tws.error = None, None
        words = {
            "rate_limited": (162, "Historical Market Data Service error message:Historical data pacing violation"),
            "unauthorized": (354, "Requested market data is not subscribed."),
            "server_error": (2105, "HMDS data farm connection is broken"),
        }
        if kind in words:
            tws.fails(*words[kind], times=times)
        else:
            tws.fault = "slow" if kind == "drip" else kind  # type: ignore[assignment]

    with serve_tws(tws):
        make = maker("ib", port=tws.port, requests_per_s=50)
        yield Case("ib", make, truth(), (*PRICES, *SIDES), fault, maker("ib", port=dead_port(), requests_per_s=50))


CANDLES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Case]]] = {
    "sample": sample,
    "synthetic": synthetic,
    "file": file_local,
    "file_http": file_http,
    "file_s3": file_s3,
    "oanda": oanda,
    "binance": binance,
    "yfinance": yahoo,
    "alpha_vantage": alpha_vantage,
    "finnhub": finnhub,
    "ib": ib,
}
NETWORK = tuple(name for name in CANDLES if name not in ("sample", "synthetic", "file"))

"""Yahoo's chart API, the calls that yfinance makes: charts, the cookie and the crumb."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pandas as pd
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse

RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]


def yahoo_app(
    candles: Mapping[tuple[str, str], pd.DataFrame], now: Callable[[], float] = time.time, live: bool = True
) -> FastAPI:
    """candles: by symbol and interval, such as (EURUSD=X, 1h). live: whether the newest price is added, as Yahoo does
    behind ranges that reach to now, at a time that is on no grid. Bars without trades have null for each figure.
    """
    app = FastAPI()

    @app.get("/")
    def cookie() -> Response:
        return Response(headers={"set-cookie": "A3=d=test; Max-Age=31557600; Path=/"})

    @app.get("/v1/test/getcrumb")
    def crumb() -> Response:
        return PlainTextResponse("abc.DEF")

    def error(status: int, code: str, description: str) -> JSONResponse:
        body = {"chart": {"result": None, "error": {"code": code, "description": description}}}
        return JSONResponse(body, status_code=status)

    @app.get("/v8/finance/chart/{symbol}")
    def chart(symbol: str, interval: str, period1: int, period2: int):
        if symbol not in {known for known, _ in candles}:
            return error(404, "Not Found", "No data found, symbol may be delisted")
        frame = candles.get((symbol, interval))
        if frame is None:
            return error(422, "Unprocessable Entity", f"Invalid input - interval={interval} is not supported.")
        seconds = frame["time"].astype("int64").to_numpy() // 1_000_000
        if period2 <= seconds[0]:
            words = f"Data doesn't exist for startDate = {period1}, endDate = {period2}"
            return error(400, "Bad Request", words)
        rows = frame[(seconds >= period1) & (seconds < period2)]
        times = [int(t) for t in seconds[(seconds >= period1) & (seconds < period2)]]
        columns = {name: rows[name].tolist() for name in ("open", "high", "low", "close", "volume")}
        if live and times and period2 >= now() - 60:
            times.append(int(now()) - 7)
            for name, values in columns.items():
                values.append(0 if name == "volume" else columns["close"][-1])
        quote = {k: [None if pd.isna(v) else v for v in values] for k, values in columns.items()}
        result = {
            "meta": {
                "currency": "USD",
                "symbol": symbol,
                "exchangeName": "CCY",
                "instrumentType": "CURRENCY",
                "exchangeTimezoneName": "Europe/London",
                "timezone": "GMT",
                "gmtoffset": 0,
                "dataGranularity": interval,
                "range": "",
                "validRanges": RANGES,
            },
            "indicators": {"quote": [quote if times else {}]},
        }
        if times:
            result["timestamp"] = times
        return {"chart": {"result": [result], "error": None}}

    return app

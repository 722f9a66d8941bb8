"""Binance's public spot API as far as klines go: https://developers.binance.com/docs/binance-spot-api-docs/rest-api"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from fastapi import FastAPI
from fastapi.responses import JSONResponse

INTERVALS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440}


def binance_app(candles: Mapping[tuple[str, str], pd.DataFrame]) -> FastAPI:
    """candles: by symbol and interval, such as (BTCUSDT, 1h), the running one included."""
    app = FastAPI()

    def error(code: int, msg: str) -> JSONResponse:
        return JSONResponse({"code": code, "msg": msg}, status_code=400)

    @app.get("/api/v3/exchangeInfo")
    def exchange_info() -> dict:
        return {"timezone": "UTC", "symbols": [{"symbol": s, "status": "TRADING"} for s, _ in candles]}

    @app.get("/api/v3/klines")
    def klines(symbol: str, interval: str, startTime: int = 0, endTime: int = 2**53, limit: int = 500):
        if interval not in INTERVALS:
            return error(-1120, "Invalid interval.")
        frame = candles.get((symbol, interval))
        if frame is None:
            return error(-1121, "Invalid symbol.")
        length = INTERVALS[interval] * 60_000
        opens = frame["time"].astype("int64").to_numpy() // 1000
        rows: Any = frame[(opens >= startTime) & (opens <= endTime)].head(min(limit, 1000))
        return [
            [
                (at := int(row.time.timestamp() * 1000)),
                *(repr(float(value)) for value in (row.open, row.high, row.low, row.close, row.volume)),
                at + length - 1,
                "0.0",
                17,
                "0.0",
                "0.0",
                "0",
            ]
            for row in rows.itertuples()
        ]

    return app

"""Finnhub's forex candles and market news: https://finnhub.io/docs/api"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pandas as pd
from fastapi import FastAPI, Header, Query
from fastapi.responses import JSONResponse

Token = Annotated[str, Header(alias="X-Finnhub-Token")]


def finnhub_app(
    key: str, candles: Mapping[tuple[str, str], pd.DataFrame], articles: list[dict[str, Any]] | None = None
) -> FastAPI:
    """candles: by symbol and resolution, such as (OANDA:EUR_USD, 60). articles: title, source, published."""
    app = FastAPI()

    @app.get("/api/v1/forex/candle")
    def candle(
        symbol: str,
        resolution: str,
        to: int,
        since: Annotated[int, Query(alias="from")],
        token: Token = "",
    ):
        if token != key:
            return JSONResponse({"error": "Invalid API key"}, status_code=401)
        frame = candles.get((symbol, resolution))
        if frame is None:
            return JSONResponse({"error": "You don't have access to this resource."}, status_code=403)
        seconds = frame["time"].astype("int64").to_numpy() // 1_000_000
        rows = frame[(seconds >= since) & (seconds <= to)]
        if rows.empty:
            return {"s": "no_data"}
        columns = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
        times = [int(t.timestamp()) for t in rows["time"]]
        return {"s": "ok", "t": times, **{short: rows[name].tolist() for short, name in columns.items()}}

    @app.get("/api/v1/news")
    def news(category: str, token: Token = ""):
        if token != key:
            return JSONResponse({"error": "Invalid API key"}, status_code=401)
        return [
            {
                "category": category,
                "datetime": int(a["published"].timestamp()),
                "headline": a["title"],
                "id": number,
                "image": "",
                "related": "",
                "source": a["source"],
                "summary": "",
                "url": "https://example.org/",
            }
            for number, a in enumerate(articles or [])
        ]

    return app

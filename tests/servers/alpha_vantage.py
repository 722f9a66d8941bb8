"""Alpha Vantage's query endpoint: FX_INTRADAY, FX_DAILY, NEWS_SENTIMENT, and its errors with status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from fastapi import FastAPI

LABELS = {"open": "1. open", "high": "2. high", "low": "3. low", "close": "4. close"}


def alpha_vantage_app(
    key: str, candles: Mapping[tuple[str, str], pd.DataFrame], articles: list[dict[str, Any]] | None = None
) -> FastAPI:
    """candles: by pair and interval, such as (EURUSD, 60min) or (EURUSD, daily). articles: title, source, and
    published, an aware datetime.
    """
    app = FastAPI()

    def series(pair: str, interval: str, name: str, form: str) -> dict[str, Any]:
        frame = candles.get((pair, interval))
        if frame is None:
            return {"Error Message": "Invalid API call. Please retry or visit the documentation for FX."}
        newest_first: Any = frame.iloc[::-1]
        return {
            "Meta Data": {"1. Information": "FX", "6. Time Zone": "UTC"},
            name: {
                row.time.strftime(form): {label: repr(float(getattr(row, column))) for column, label in LABELS.items()}
                for row in newest_first.itertuples()
            },
        }

    @app.get("/query")
    def query(
        function: str,
        apikey: str = "",
        from_symbol: str = "",
        to_symbol: str = "",
        interval: str = "",
        time_from: str = "19700101T0000",
        limit: int = 50,
    ) -> dict[str, Any]:
        if apikey != key:
            return {"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key."}
        pair = from_symbol + to_symbol
        if function == "FX_INTRADAY":
            return series(pair, interval, f"Time Series FX ({interval})", "%Y-%m-%d %H:%M:%S")
        if function == "FX_DAILY":
            return series(pair, "daily", "Time Series FX (Daily)", "%Y-%m-%d")
        if function == "NEWS_SENTIMENT":
            since = pd.to_datetime(time_from, format="%Y%m%dT%H%M", utc=True)
            found = [a for a in articles or [] if a["published"] >= since][:limit]
            if not found:
                return {"Information": "No articles found. Please adjust the time range or refer to the documentation."}
            feed = [
                {
                    "title": a["title"],
                    "url": "https://example.org/",
                    "time_published": f"{a['published']:%Y%m%dT%H%M%S}",
                    "source": a["source"],
                    "summary": "",
                    "overall_sentiment_score": 0.1,
                }
                for a in found
            ]
            return {"items": str(len(feed)), "feed": feed}
        return {"Error Message": f"This API function ({function}) does not exist."}

    return app

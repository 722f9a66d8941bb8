"""Fetching one session into bronze, source by source: pure of Dagster.

The first source of an instrument's list that answers is used. When none does, nothing is written and the error
lists what each of them said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pandas as pd

from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze, BronzeFile
from fx_assets.configuration import Instrument
from fx_assets.errors import StoreError
from fx_assets.sessions import news_bounds, session_bounds
from fx_assets.sources import candle_source, news_source
from fx_assets.sources.base import SourceError


def fetch_candles(
    bronze: Bronze, symbol: str, instrument: Instrument, session: str, fetched_at: datetime
) -> BronzeFile | None:
    """One instrument's candles of one session; None where the source has nothing to fetch (imported history).

    Raises StoreError when no source answers.
    """
    start, end = session_bounds(session)
    refusals = []
    for name in instrument.sources:
        try:
            rows = candle_source(name).candles(symbol, instrument.granularity, start, end)
        except SourceError as error:
            refusals.append(str(error))
            continue
        if rows is None:
            return None
        return bronze.append(CANDLES, symbol, session, name, rows, fetched_at)
    raise StoreError(f"{symbol}, session {session}: no source answered. " + " ".join(refusals))


def fetch_news(
    bronze: Bronze, sources: Iterable[str], session: str, fetched_at: datetime, all_week: bool = False
) -> list[BronzeFile]:
    """The headlines of one session from every news source, weekend included (see news_bounds)."""
    start, end = news_bounds(session, all_week)
    return [
        bronze.append(NEWS, ALL_NEWS, session, name, news_source(name).news(start, end), fetched_at) for name in sources
    ]


def summary(files: Iterable[BronzeFile | None]) -> dict[str, int]:
    """How many files and rows were written."""
    written = [f for f in files if f is not None]
    return {"files": len(written), "rows": sum(f.rows for f in written)}


def fetch_table(counts: dict[str, dict[str, int]]) -> str:
    """Rows by session as a small Markdown table: the newest ten sessions."""
    newest = pd.DataFrame(counts).T.sort_index(ascending=False).head(10)
    lines = ["| session | files | rows |", "| --- | --- | --- |"]
    lines += [f"| {key} | {row.files} | {row.rows} |" for key, row in newest.iterrows()]
    return "\n".join(lines)

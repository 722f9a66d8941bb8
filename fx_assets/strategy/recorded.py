"""Trading costs from the lake's candles: recorded bid and ask where there are any, else the typical spread."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation import costs
from fx_assets.lake import Lake
from fx_assets.sessions import session_bounds

MONTHS = "strategy/transaction_costs"
_COLUMNS = ["instrument", "available_at", "close", "bid_close", "ask_close"]


def quotes(lake: Lake, start: datetime, end: datetime, instruments: list[str] | None = None) -> pd.DataFrame:
    """Closing quotes of the candles with start <= time < end (aware UTC): instrument, available_at, close, bid_close,
    ask_close. Raises MissingData when silver/candles has no session there.
    """
    return lake.table("silver/candles", start, end, instruments, columns=_COLUMNS)


def typical_half_spreads(configuration: Configuration, candles: pd.DataFrame) -> dict[str, float]:
    """Half the typical spread of instruments.yaml over the median close, by instrument of the candles."""
    spreads = {symbol: i.typical_spread for symbol, i in configuration.instruments.instruments.items()}
    medians = candles.groupby("instrument")["close"].median()
    return {str(symbol): spreads[str(symbol)] / float(price) / 2 for symbol, price in medians.items()}


def cost_table(configuration: Configuration, candles: pd.DataFrame) -> pd.DataFrame:
    """Costs of every instrument of the candles for all 24 hours; see `evaluation.costs`."""
    return costs.with_typical(costs.table(candles), typical_half_spreads(configuration, candles))


def study_costs(lake: Lake, configuration: Configuration, rows: pd.DataFrame, session: str) -> pd.DataFrame:
    """The costs of a training set: from the candles between its first row and the start of its session.

    rows: instrument and time (UTC). Nothing of the session itself is looked at, so the table is the same whenever
    it is made. Raises MissingData without candles.
    """
    start = pd.Timestamp(rows["time"].min()).to_pydatetime()
    known = sorted(rows["instrument"].unique().tolist())
    return cost_table(configuration, quotes(lake, start, session_bounds(session)[0], known))


def month_before(lake: Lake, session: str) -> str | None:
    """The newest month whose costs were made and that had ended when the session began; None without one."""
    begins = session_bounds(session)[0]
    ended = [key for key in lake.keys(MONTHS) if month_bounds(key)[1] <= begins]
    return ended[-1] if ended else None


def month_bounds(key: str) -> tuple[datetime, datetime]:
    """Start and end of a month of sessions (key YYYY-MM-01), aware and in UTC: from 17:00 New York on its first day."""
    following = pd.Timestamp(key) + pd.offsets.MonthBegin(1)
    return session_bounds(key)[0], session_bounds(str(following.date()))[0]


def current_costs(lake: Lake, session: str, otherwise: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """What trading cost in the last month before the session, and where that is from.

    otherwise: the study's own table, for the instruments that the month lacks, and where no month was made.
    """
    month = month_before(lake, session)
    if month is None:
        return otherwise, ""
    table = lake.read(MONTHS, [month])[month]
    lacking = otherwise[~otherwise["instrument"].isin(table["instrument"])]
    merged = pd.concat([table, lacking]) if len(lacking) else table
    merged = merged.sort_values(["instrument", "hour"], ignore_index=True)
    return merged, f"{costs.cost_source(merged, merged['instrument'].unique())} ({month[:7]})"

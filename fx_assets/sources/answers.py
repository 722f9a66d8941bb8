"""What every answer of a candle source must be before it is handed on, and the shape that all of them share.

A source that answers with anything else is broken now: SourceError, and the next one is asked. Whether a well-formed
candle is also true (spikes, flat prices, a high below the low) is for silver, which keeps what it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.sources.base import SourceError, SourceRefused
from fx_serving.client import clock

TIME_TYPE = "datetime64[us, UTC]"
MIDDLE = ("open", "high", "low", "close")
BID = tuple(f"bid_{name}" for name in MIDDLE)
ASK = tuple(f"ask_{name}" for name in MIDDLE)
COLUMNS = ("time", *MIDDLE, "volume", *BID, *ASK)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAIR = re.compile(r"^([A-Z0-9]{2,10})_([A-Z0-9]{2,10})$")


def pair(instrument: str) -> tuple[str, str] | None:
    """The two currencies of EUR_USD; None for a string that is not of that form, a source's own symbol."""
    found = _PAIR.match(instrument)
    return (found[1], found[2]) if found else None


def micros(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def step(granularity: str) -> pd.Timedelta:
    """The length of a bar."""
    return pd.Timedelta(minutes=GRANULARITY_MINUTES[granularity])


def native_granularity(name: str, granularity: str, known: dict[str, str]) -> str:
    """A source's own word for a granularity. Raises SourceRefused for one that it does not have."""
    if granularity not in known:
        raise SourceRefused(
            f"{name}: has no {granularity} candles, only {', '.join(known)}. "
            "Use one of these in instruments.yaml, or another source."
        )
    return known[granularity]


def frame(times: Any, columns: dict[str, Any]) -> pd.DataFrame:
    """Candles from arrays, in the shared order and types. times: microseconds since 1970, or aware datetimes.

    Raises ValueError or TypeError for what is not numbers; callers turn it into a SourceError.
    """
    raw = np.asarray(times) if not isinstance(times, pd.DatetimeIndex | pd.Series) else times
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "iu":
        raw = raw.astype("int64").astype("datetime64[us]")
    index = pd.DatetimeIndex(pd.to_datetime(raw, utc=True)).as_unit("us")
    made: dict[str, Any] = {"time": index}
    for column in COLUMNS[1:]:
        if column in columns:
            made[column] = np.asarray(columns[column], dtype="float64")
    return pd.DataFrame(made)


def empty(columns: Iterable[str] = MIDDLE) -> pd.DataFrame:
    """No candles, with every column in its type."""
    return frame(np.array([], dtype="int64"), {name: [] for name in columns})


def whole(bars: pd.DataFrame, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
    """The bars that open in [start, end) and have closed by now (the data clock): what a source may hand on."""
    opens = bars["time"]
    closed = opens + step(granularity) <= pd.Timestamp(clock.now())
    return bars[(opens >= pd.Timestamp(start)) & (opens < pd.Timestamp(end)) & closed].reset_index(drop=True)


def checked(
    name: str, instrument: str, bars: pd.DataFrame, granularity: str, start: datetime, end: datetime
) -> pd.DataFrame:
    """The bars themselves, if they can be an answer. Raises SourceError naming source, instrument, time and value.

    bars: as `frame` makes them. Opens must lie in [start, end), rise strictly, and lie on multiples of the bar's
    length (of an hour for longer bars, whose grid hangs on the source's day); prices must be finite and positive,
    a volume finite and not negative.
    """
    opens = bars["time"]
    if not len(bars):
        return bars

    def refuse(bad: np.ndarray, what: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise SourceError(
                f"{name}: {instrument}: {what} at {opens.iloc[row]} ({int(bad.sum())} of {len(bars)} bars). "
                "The source's answer is wrong; ask again later, or name another source in instruments.yaml."
            )

    length = int(min(step(granularity), pd.Timedelta(hours=1)) // pd.Timedelta(microseconds=1))
    stamps = opens.astype("int64").to_numpy()
    refuse((stamps < micros(start)) | (stamps >= micros(end)), f"a bar outside {start} to {end}")
    refuse(np.diff(stamps, prepend=stamps[0] - 1) <= 0, "a bar not after the one before it")
    refuse(stamps % length != 0, f"a bar off the grid of {granularity}")
    for column in bars.columns[1:]:
        values = bars[column].to_numpy()
        lowest = values >= 0 if column == "volume" else values > 0
        refuse(~(np.isfinite(values) & lowest), f"{column} is not a possible figure")
    return bars

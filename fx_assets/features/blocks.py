"""From a bar frame to arrays for each instrument, checked and in order, and what else handles times and frames.

Formulas do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features import wall_clock

PRICES = ("open", "high", "low", "close")
OPTIONAL = ("volume", "bid_close", "ask_close")
NEW_YORK = "America/New_York"
MINUTE_US = 60_000_000
# Beyond this a figure is no volume or quote, and its square no number any more.
LARGEST_FIGURE = 1e100


@dataclass(frozen=True)
class Block:
    """One instrument's bars as arrays of length n, oldest first. time_us: bar open, UTC microseconds."""

    time_us: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray | None
    bid_close: np.ndarray | None
    ask_close: np.ndarray | None
    instrument: str = ""

    @cached_property
    def new_york_minute(self) -> np.ndarray:
        """Minutes since 1970 on the New York wall clock, int64."""
        return wall_minute(self.time_us, NEW_YORK)

    @cached_property
    def slot(self) -> np.ndarray:
        """New York minute of the day of the bar's open, int64 in [0, 1440)."""
        return np.ascontiguousarray(self.new_york_minute % 1440)


def wall_minute(utc_us: np.ndarray, zone: str) -> np.ndarray:
    """Minutes since 1970 on the wall clock of `zone`. utc_us: UTC microseconds, int64."""
    return wall_clock.wall_minute(utc_us, zone)


@dataclass(frozen=True)
class Bars:
    """Checked bars, sorted by (instrument, time).

    frame: the bars, with any index. blocks: one for each instrument, one empty block where there are no bars.
    ends: where each block ends in `frame`.
    """

    frame: pd.DataFrame
    blocks: list[Block]
    ends: list[int]

    @property
    def names(self) -> list[str]:
        """The instruments."""
        return [block.instrument for block in self.blocks]

    @classmethod
    def read(cls, bars: pd.DataFrame) -> Bars:
        """bars: columns instrument, time (tz-aware bar open), open, high, low, close and optionally volume, bid_close,
        ask_close; any row order, several instruments allowed.

        Raises DataError for a missing column, a time without zone, a repeated (instrument, time) and a price that is
        not a positive number.
        """
        frame, codes, names, time = _sorted(bars)
        prices = [_price(frame, name) for name in PRICES]
        optional = [_figure(frame, name) if name in frame.columns else None for name in OPTIONAL]
        # A frame without rows is one empty block, so that its result has all the columns.
        starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)] if len(names) > 1 else None
        bounds = list(pairwise(starts or [0, len(codes)]))
        blocks = [
            Block(
                time[a:b],
                *(column[a:b] for column in prices),
                *(None if column is None else column[a:b] for column in optional),
                instrument=name,
            )
            for (a, b), name in zip(bounds, names or [""], strict=True)
        ]
        return cls(frame, blocks, [b for _, b in bounds])


def ordered_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars sorted by (instrument, time) with a fresh index, checked as `Bars.read` states."""
    frame = _sorted(bars)[0]
    for name in PRICES:
        _price(frame, name)
    return frame.reset_index(drop=True)


def _sorted(bars: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, list[str], np.ndarray]:
    """The bars in order, and of each row its instrument's number among the sorted names, and its time."""
    missing = [c for c in ("instrument", "time", *PRICES) if c not in bars.columns]
    if missing:
        raise DataError(f"bars: column(s) {', '.join(missing)} missing. Pass instrument, time and the four prices.")
    if not isinstance(bars["time"].dtype, pd.DatetimeTZDtype):
        raise DataError(f"bars.time: {bars['time'].dtype} has no time zone. Localise it to UTC first.")
    codes, names = pd.factorize(bars["instrument"], sort=True)
    time = time_us(bars["time"])
    later = time[1:] > time[:-1]
    if len(names) > 1:
        later = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & later)
    if not later.all():
        order = _order(codes, time)
        bars, codes, time = bars.iloc[order], codes[order], time[order]
        repeated = np.flatnonzero((codes[1:] == codes[:-1]) & (time[1:] == time[:-1]))
        if len(repeated):
            row = bars.iloc[int(repeated[0])]
            raise DataError(f"bars: {row['instrument']} has {row['time']} twice. Drop the older revision first.")
    return bars, codes, [str(name) for name in names], time


def _order(codes: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The stable order by instrument and time. Rows by time, as tables store them, are only told apart by instrument:
    numpy counts small numbers instead of comparing them.
    """
    if len(codes) and codes.max() < np.iinfo(np.int16).max and (time[1:] >= time[:-1]).all():
        return np.argsort(codes.astype(np.int16), kind="stable")
    return np.lexsort((time, codes))


def _price(frame: pd.DataFrame, name: str) -> np.ndarray:
    values = np.ascontiguousarray(frame[name].to_numpy(float))
    # NaN is neither above nor below, so it fails too.
    if len(values) and not (values.min() > 0.0 and values.max() < np.inf):
        row = frame.iloc[int(np.flatnonzero(~((values > 0.0) & (values < np.inf)))[0])]
        raise DataError(
            f"bars: {row['instrument']} at {row['time']} has a price that is not a positive number. "
            "Drop or quarantine such bars before computing features."
        )
    return values


def _figure(frame: pd.DataFrame, name: str) -> np.ndarray:
    """An optional column: it may be filled for some instruments or bars only, and what is missing counts as zero."""
    values = np.ascontiguousarray(frame[name].to_numpy(float))
    if len(values) and not (values.min() >= 0.0 and values.max() < LARGEST_FIGURE):
        return np.where((values > 0.0) & (values < LARGEST_FIGURE), values, 0.0)
    return values


def time_us(time: Any) -> np.ndarray:
    """Times (a column or an index) as int64 microseconds since 1970, UTC where they have a zone."""
    return pd.DatetimeIndex(time).as_unit("us").astype("int64").to_numpy()


def values_of(column: pd.Series) -> Any:
    """A column's values without a copy: numpy's own where it has such, since pandas looks through each array of its own
    for missing values before it puts it into a frame.
    """
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """As frame.assign, without copying the columns that stay: wide frames are most of the work's memory."""
    return pd.DataFrame({**{str(name): values_of(frame[name]) for name in frame.columns}, **columns}, copy=False)


def chosen_columns(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """As frame[names], without a copy."""
    return pd.DataFrame({name: values_of(frame[name]) for name in names}, copy=False)


def moment_us(moment: datetime) -> int:
    """One aware moment as microseconds since 1970, UTC; of whole seconds, as sessions begin and end."""
    return int(moment.timestamp()) * 1_000_000


def exponential(span: float, length: int) -> np.ndarray:
    """Weights of an exponential mean with alpha = 2 / (span + 1), `length` values, newest first."""
    return (1.0 - 2.0 / (span + 1.0)) ** np.arange(length)

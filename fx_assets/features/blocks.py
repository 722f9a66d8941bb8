"""From a bar frame to per-instrument arrays and back, plus the arithmetic every feature group shares.

Formulas do not belong here. `apply` sorts and checks the bars, hands each instrument to the group functions
as a `Block`, and joins their columns in the order (instrument, time).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.errors import DataError

PRICES = ("open", "high", "low", "close")
OPTIONAL = ("volume", "bid_close", "ask_close")
RATIO_LIMIT = 1e6
NEW_YORK = "America/New_York"
MINUTE_US = 60_000_000
_WORTH_THREADS = 20_000  # rows


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

    @cached_property
    def log_return(self) -> np.ndarray:
        return log_change(self.close, 1)

    @cached_property
    def new_york_minute(self) -> np.ndarray:
        """Minutes since 1970 on the New York wall clock, int64."""
        return wall_minute(self.time_us, NEW_YORK)

    @cached_property
    def slot(self) -> np.ndarray:
        """New York minute of the day of the bar's open, int64 in [0, 1440)."""
        return np.ascontiguousarray(self.new_york_minute % 1440)


Compute = Callable[[Block], dict[str, np.ndarray]]


def wall_minute(utc_us: np.ndarray, zone: str) -> np.ndarray:
    """Minutes since 1970 on the wall clock of `zone`. utc_us: UTC microseconds, int64."""
    utc = pd.DatetimeIndex(utc_us.view("datetime64[us]")).tz_localize("UTC")
    local = utc.tz_convert(zone).tz_localize(None)
    return time_us(local) // MINUTE_US


def apply(bars: pd.DataFrame, computes: Iterable[Compute]) -> pd.DataFrame:
    """Run group functions per instrument.

    bars: columns instrument, time (tz-aware bar open), open, high, low, close and optionally volume,
        bid_close, ask_close; any row order, several instruments allowed.
    Returns instrument, time and the features as float64, sorted by (instrument, time), fresh index.
    Raises DataError for a missing column, a time without zone, a repeated (instrument, time) and a price that
    is not a positive number.
    """
    ordered = ordered_bars(bars)
    functions = list(computes)
    blocks = _blocks(ordered)

    def columns_of(block: Block) -> dict[str, np.ndarray]:
        return {name: column for function in functions for name, column in function(block).items()}

    # The kernels leave the interpreter to others: instruments are worked on side by side where it pays.
    threads = min(len(blocks), os.cpu_count() or 1) if len(ordered) >= _WORTH_THREADS else 1
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(columns_of, blocks))
    else:
        parts = [columns_of(block) for block in blocks]
    columns = {name: ordered[name].array for name in ("instrument", "time")}
    for name in list(parts[0]):
        # Taken from the parts as it is joined, so that both are not in memory for all columns.
        pieces = [part.pop(name) for part in parts]
        columns[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return pd.DataFrame(columns, copy=False)


def ordered_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars sorted by (instrument, time) with a fresh index, checked as `apply` states."""
    missing = [c for c in ("instrument", "time", *PRICES) if c not in bars.columns]
    if missing:
        raise DataError(f"bars: column(s) {', '.join(missing)} missing. Pass instrument, time and the four prices.")
    if not isinstance(bars["time"].dtype, pd.DatetimeTZDtype):
        raise DataError(f"bars.time: {bars['time'].dtype} has no time zone. Localise it to UTC first.")
    codes, _ = pd.factorize(bars["instrument"], sort=True)
    time = time_us(bars["time"])
    same = codes[1:] == codes[:-1]
    if not bool(np.all((codes[1:] > codes[:-1]) | (same & (time[1:] > time[:-1])))):
        order = np.lexsort((time, codes))
        bars, codes, time = bars.iloc[order], codes[order], time[order]
        repeated = np.flatnonzero((codes[1:] == codes[:-1]) & (time[1:] == time[:-1]))
        if len(repeated):
            row = bars.iloc[int(repeated[0])]
            raise DataError(f"bars: {row['instrument']} has {row['time']} twice. Drop the older revision first.")
    prices = bars[list(PRICES)].to_numpy(float)
    bad = ~(np.isfinite(prices) & (prices > 0)).all(axis=1)
    if bad.any():
        row = bars.iloc[int(np.flatnonzero(bad)[0])]
        raise DataError(
            f"bars: {row['instrument']} at {row['time']} has a price that is not a positive number. "
            "Drop or quarantine such bars before computing features."
        )
    return bars.reset_index(drop=True)


def time_us(time: Any) -> np.ndarray:
    """Times (a column or an index) as int64 microseconds since 1970, UTC where they have a zone."""
    return pd.DatetimeIndex(time).as_unit("us").astype("int64").to_numpy()


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """As frame.assign, without copying the columns that stay: wide frames are most of the work's memory."""
    return pd.DataFrame({**{str(name): frame[name].array for name in frame.columns}, **columns}, copy=False)


def moment_us(moment: datetime) -> int:
    """One aware moment as microseconds since 1970, UTC; of whole seconds, as sessions begin and end."""
    return int(moment.timestamp()) * 1_000_000


def _blocks(ordered: pd.DataFrame) -> list[Block]:
    codes, _ = pd.factorize(ordered["instrument"])
    edges = np.flatnonzero(np.diff(codes)) + 1
    time = time_us(ordered["time"])
    prices = [np.ascontiguousarray(ordered[c].to_numpy(float)) for c in PRICES]
    # An optional column may be filled for some instruments only; a bar without the figure counts as zero
    # there.
    optional = [np.nan_to_num(ordered[c].to_numpy(float)) if c in ordered else None for c in OPTIONAL]
    # A frame without rows is one empty block, so that its result has all the columns.
    bounds = [0, *edges.tolist(), len(ordered)]
    return [
        Block(
            time[a:b],
            *(column[a:b] for column in prices),
            *(None if column is None else column[a:b] for column in optional),
        )
        for a, b in pairwise(bounds)
    ]


def lag(values: np.ndarray, bars: int) -> np.ndarray:
    """The series `bars` rows earlier, NaN at the start."""
    out = np.full(len(values), np.nan)
    if bars < len(values):
        out[bars:] = values[: len(values) - bars]
    return out


def log_change(values: np.ndarray, bars: int) -> np.ndarray:
    """ln(value / value `bars` rows earlier), NaN at the start."""
    return log_ratio(values, lag(values, bars))


def log_ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """ln(top / bottom) of positive figures, the quotient kept within 1e-6..1e6."""
    return np.log(np.maximum(ratio(top, bottom, default=1.0), 1.0 / RATIO_LIMIT))


def ratio(top: np.ndarray, bottom: np.ndarray, default: float = 0.0, limit: float = RATIO_LIMIT) -> np.ndarray:
    """top / bottom within +-limit; `default` where bottom is zero; NaN stays NaN."""
    zero = np.abs(bottom) < 1e-300
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = np.clip(top / np.where(zero, 1.0, bottom), -limit, limit)
    unknown = np.isnan(top) | np.isnan(bottom)
    return np.where(unknown, np.nan, np.where(zero, default, quotient))


def exponential(span: float, length: int) -> np.ndarray:
    """Weights of an exponential mean with alpha = 2 / (span + 1), `length` values, newest first."""
    return (1.0 - 2.0 / (span + 1.0)) ** np.arange(length)


def wilder(period: int) -> np.ndarray:
    """Weights of Wilder's mean (alpha = 1 / period), cut off after 8 periods (0.03 % left)."""
    return (1.0 - 1.0 / period) ** np.arange(8 * period)

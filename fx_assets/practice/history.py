"""The history that is replayed: bars in whole points, from the sample, a candle file or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.sources.candle_file import READERS, read_candle_file

STEP_S = {
    **{f"S{n}": n for n in (5, 10, 15, 30)},
    **{f"M{n}": 60 * n for n in (1, 2, 4, 5, 10, 15, 30)},
    **{f"H{n}": 3600 * n for n in (1, 2, 3, 4, 6, 8, 12)},
    "D": 86400,
}
# Columns of a bar, all int64: time (seconds since 1970, UTC), volume, then prices in points.
TIME, VOLUME, MID, BID, ASK = 0, 1, slice(2, 6), slice(6, 10), slice(10, 14)
WIDTH = 14

# Quoted with three decimals, as OANDA does; everything else has five.
_THREE_DECIMALS = frozenset({"JPY", "HUF", "THB", "INR", "KRW", "XAU", "XAG"})
_MOST_DECIMALS = 8
_DEFAULT_SPREAD = 0.9e-4  # of the price, where the history has no bid and ask
_TICK_EVERY_S = 4  # where the history has no volume
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class History:
    """One instrument's bars. `bars`: int64 rows of WIDTH columns, sorted by time; bid and ask lie an even number of
    points apart, so that their middle is the bar's price exactly. precision: decimals of a price.
    """

    symbol: str
    granularity: str
    precision: int
    bars: np.ndarray

    @property
    def step(self) -> int:
        """Length of a bar in seconds."""
        return STEP_S[self.granularity]

    @property
    def times(self) -> np.ndarray:
        """Bar opens, seconds since 1970, UTC."""
        return self.bars[:, TIME]

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Open of the first bar and close of the last one."""
        first, last = int(self.times[0]), int(self.times[-1]) + self.step
        return pd.Timestamp(first, unit="s", tz="UTC"), pd.Timestamp(last, unit="s", tz="UTC")

    @property
    def spread(self) -> float:
        """The usual distance of bid and ask, in price units."""
        apart = self.bars[:, ASK.stop - 1] - self.bars[:, BID.stop - 1]
        return float(np.median(apart)) / 10**self.precision

    @property
    def all_week(self) -> bool:
        """Whether it trades on Saturdays."""
        return bool(((self.times // 86400 + 3) % 7 == 5).any())  # 1970 began on a Thursday


def load_history(source: str) -> dict[str, History]:
    """By symbol. source: `sample`, a candle file, or a folder of candle files, which are named by their instrument
    (EUR_USD_M1.csv, EURUSD.parquet).

    Raises DataError for files that cannot be used, naming file and remedy.
    """
    if source == "sample":
        from fx_assets.sources.sample import FOLDER

        return _by_symbol(sorted(FOLDER.glob("*_H1.parquet")))
    path = Path(source).expanduser()
    if path.is_dir():
        known = sorted(p for p in path.iterdir() if {s.lower() for s in p.suffixes} & set(READERS))
        if not known:
            raise DataError(f"{path}: holds no candle file. Put files such as EUR_USD_M1.csv there.")
        return _by_symbol(known)
    return _by_symbol([path])


def _by_symbol(paths: Iterable[Path]) -> dict[str, History]:
    found: dict[str, History] = {}
    for path in paths:
        symbol = symbol_of(path)
        if symbol in found:
            raise DataError(f"{path}: a second file of {symbol}. Keep one file for each instrument.")
        found[symbol] = from_frame(symbol, read_candle_file(path), str(path))
    return found


def symbol_of(path: Path) -> str:
    """The instrument a file is named by. Raises DataError where the name starts with none."""
    parts = [part for part in re.split(r"[^A-Z0-9]+", path.name.split(".")[0].upper()) if part]
    if parts and re.fullmatch(r"[A-Z]{6}", parts[0]):
        return f"{parts[0][:3]}_{parts[0][3:]}"
    if len(parts) > 1 and parts[1] not in STEP_S and re.fullmatch(r"[A-Z]{3,5}", parts[1]):
        return f"{parts[0]}_{parts[1]}"
    raise DataError(f"{path}: its name starts with no instrument. Rename it, such as EUR_USD_M1{path.suffix}.")


def from_frame(symbol: str, frame: pd.DataFrame, what: str = "history") -> History:
    """Bars as read_candle_file gives them (volume, bid_close and ask_close are optional) as a history.

    Raises DataError where the bars' length cannot be told, or they do not start on multiples of it.
    """
    times = pd.DatetimeIndex(frame["time"]).as_unit("s").astype("int64").to_numpy()
    granularity = _granularity(times, what)
    step = STEP_S[granularity]
    off = times % min(step, 3600) != 0
    if off.any():
        row = int(off.argmax())
        raise DataError(f"{what}: the bar of {frame['time'].iloc[row]} does not start on a multiple of {granularity}.")
    prices = frame[list(_PRICES)].to_numpy(float)
    precision = _precision(symbol, prices)
    scale = 10**precision
    mid = np.rint(prices * scale).astype("int64")
    if {"bid_close", "ask_close"} <= set(frame.columns):
        spread = (frame["ask_close"] - frame["bid_close"]).to_numpy(float) * scale
    else:
        spread = prices[:, 3] * scale * _DEFAULT_SPREAD
    half = np.maximum(np.ceil(np.rint(spread) / 2), 1).astype("int64")
    half = np.minimum(half, np.maximum(mid.min(axis=1) - 1, 1))  # a bid stays above zero
    opens, highs, lows, closes = mid.T
    needed = 1 + (opens != closes) + (highs > np.maximum(opens, closes)) + (lows < np.minimum(opens, closes))
    needed = np.where((opens == closes) & (needed > 1), needed + 1, needed)
    if "volume" in frame.columns:
        volume = np.rint(frame["volume"].to_numpy(float)).astype("int64")
    else:
        volume = np.full(len(times), max(step // _TICK_EVERY_S, 1))
    bars = np.empty((len(times), WIDTH), "int64")
    bars[:, TIME], bars[:, VOLUME], bars[:, MID] = times, np.maximum(volume, needed), mid
    bars[:, BID], bars[:, ASK] = mid - half[:, None], mid + half[:, None]
    return History(symbol, granularity, precision, bars)


def _granularity(times: np.ndarray, what: str) -> str:
    """The commonest distance between two bars."""
    if len(times) < 2:
        raise DataError(f"{what}: one bar is no history. Give at least two.")
    steps, counts = np.unique(np.diff(times), return_counts=True)
    commonest = int(steps[counts.argmax()])
    for name, step in STEP_S.items():
        if step == commonest:
            return name
    raise DataError(f"{what}: bars are {commonest} s apart, which is none of {' '.join(STEP_S)}.")


def _precision(symbol: str, prices: np.ndarray) -> int:
    """Decimals that hold the prices exactly, and no fewer than OANDA shows; where none do, what OANDA shows."""
    usual = 3 if set(symbol.split("_")) & _THREE_DECIMALS else 5
    for decimals in range(usual, _MOST_DECIMALS + 1):
        scaled = prices * 10**decimals
        if (np.abs(scaled - np.rint(scaled)) < 1e-4).all():
            return decimals
    return usual

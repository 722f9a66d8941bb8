"""The rows of a study made from a user's own candle files: read and checked, with features, labels, weights and costs.

What a file may look like is sources/candle_file.py's business. No home, no lake, no Dagster: files in, frames out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.configuration import Label
from fx_assets.errors import ConfigError, DataError
from fx_assets.evaluation import costs
from fx_assets.features import available_features
from fx_assets.features.bar_length import usual_length
from fx_assets.features.blocks import MINUTE_US, OPTIONAL
from fx_assets.features.cross import CURRENCIES, currencies, provides
from fx_assets.features.filled import filled_features
from fx_assets.labels import compute, sample_weights
from fx_assets.sources.candle_file import read_candle_file

PRICES = ("instrument", "time", "open", "high", "low", "close")
QUOTES = ("bid_close", "ask_close")
LEAST_ROWS = 2000  # complete rows below which no fold says anything


@dataclass(frozen=True)
class CandleFile:
    """One file as it was read. half_spread: median of half the spread over the price; None without quotes."""

    path: Path
    symbol: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    half_spread: float | None


@dataclass(frozen=True)
class Bars:
    """All files together. candles: instrument, time and the columns that every file has figures in, sorted by
    instrument and time. minutes: length of a bar. quotes: instrument, time, bid_close, ask_close where recorded.
    """

    files: Sequence[CandleFile]
    candles: pd.DataFrame
    minutes: int
    quotes: pd.DataFrame


def named(texts: Iterable[str]) -> dict[str, Path]:
    """Files by symbol. A text is SYMBOL=FILE, or a file whose name holds a pair, such as MT5_GBPUSD_H1.csv.

    Raises ConfigError for a name without a pair, and for a symbol given twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        symbol, _, path = text.rpartition("=")
        file = Path(path)
        if not symbol:
            symbol = _pair_in(file.name.partition(".")[0])
        if not symbol:
            raise ConfigError(f"{text}: the name does not tell the instrument. Write SYMBOL=FILE, EUR_USD={text}.")
        if symbol in found:
            raise ConfigError(f"{text}: {symbol} is given twice, by {found[symbol]} too. Give each instrument once.")
        found[symbol] = file
    if not found:
        raise ConfigError("no candle file is given. Name one or several, such as EUR_USD=EURUSD_H1.csv.")
    return found


def read(files: Mapping[str, Path], minutes: int = 0) -> Bars:
    """Read and check candle files. minutes: length of a bar; 0 for what the times of each file tell.

    Raises DataError naming file, row and remedy.
    """
    told: list[CandleFile] = []
    frames: dict[str, pd.DataFrame] = {}
    lengths: dict[str, int] = {}
    for symbol, path in files.items():
        frame = read_candle_file(path, gaps=True)
        frame = frame.drop(columns=[name for name in OPTIONAL if name in frame.columns and frame[name].isna().all()])
        lengths[symbol] = minutes or usual_length(frame["time"]) // MINUTE_US
        if lengths[symbol] < 1:
            raise DataError(f"{path}: {len(frame)} rows do not tell how long a bar is. Say it with --minutes.")
        frames[symbol] = frame.assign(instrument=symbol)
        told.append(_told(path, symbol, frame))
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{files[symbol].name} {length}" for symbol, length in lengths.items())
        raise DataError(f"bars of different lengths (minutes): {said}. Study them one after the other.")
    shared = [name for name in OPTIONAL if all(name in frame.columns for frame in frames.values())]
    order = sorted(frames)
    candles = pd.concat([frames[symbol][[*PRICES, *shared]] for symbol in order], ignore_index=True)
    quoted = [frames[s][["instrument", "time", *QUOTES]] for s in order if set(QUOTES) <= set(frames[s].columns)]
    quotes = pd.concat(quoted, ignore_index=True) if quoted else pd.DataFrame(columns=["instrument", "time", *QUOTES])
    return Bars(told, candles, next(iter(lengths.values())), quotes)


def features(bars: Bars) -> tuple[pd.DataFrame, list[str]]:
    """instrument, time and every feature that all instruments have, sorted as the candles; and the features' names."""
    symbols = [file.symbol for file in bars.files]
    names, dropped = available_features(bars.candles.columns, symbols)
    lacking = set.union(*({"others", "triangle"} - provides(symbols, of=symbol) for symbol in symbols))
    from fx_assets.features import specs

    names = [spec.name for spec in specs() if spec.name not in dropped and not lacking & set(spec.requires)]
    table = filled_features(bars.candles, None, None, bars.minutes * MINUTE_US)
    names = [name for name in names if not table[name].isna().all()]
    return table[["instrument", "time", *names]], names


def training_rows(
    bars: Bars, table: pd.DataFrame, names: Sequence[str], label: Label, half_life_days: float | None = None
) -> pd.DataFrame:
    """What a study is made of: instrument, time, decision_time, label, label_end, forward_return, the label's own
    columns, weight and the features; complete rows only, sorted by decision time and instrument.

    table, names: as `features` gives them. Raises DataError for a label that these bars do not allow, for fewer than
    LEAST_ROWS complete rows, and for one class.
    """
    try:
        labels = compute(bars.candles, label, bars.minutes)
    except ValueError as error:
        raise DataError(f"bars of {bars.minutes} minutes: {error} (or give --horizon-bars).") from None
    if not (labels[["instrument", "time"]].to_numpy() == table[["instrument", "time"]].to_numpy()).all():
        raise AssertionError("labels and features must be of the same bars, in the same order")
    known = labels["label"].notna() & labels["forward_return"].notna()
    complete = known.to_numpy() & table[list(names)].notna().all(axis=1).to_numpy()
    if complete.sum() < LEAST_ROWS:
        raise DataError(
            f"{len(table):,} bars give {int(complete.sum()):,} rows with every feature and a label; a study needs "
            f"{LEAST_ROWS:,}. Give longer files."
        )
    rows = pd.concat([labels.loc[complete], table.loc[complete, list(names)]], axis=1)
    rows = rows.sort_values(["decision_time", "instrument"], kind="stable", ignore_index=True)
    if label.target == "binary" and rows["label"].nunique() < 2:
        raise DataError(f"{label.name}: every label is {rows['label'].iloc[0]:g}. Check the prices of the files.")
    return rows.assign(weight=sample_weights(rows, half_life_days))


def half_spreads(bars: Bars, spread_bp: float) -> tuple[dict[str, float], pd.DataFrame]:
    """What half the spread costs: by instrument (its own median, else half of `spread_bp` basis points of the price),
    and by instrument and hour where bid and ask are recorded (costs.table).
    """
    assumed = spread_bp / 2e4
    typical = {f.symbol: assumed if f.half_spread is None else f.half_spread for f in bars.files}
    return typical, costs.table(bars.quotes)


def _told(path: Path, symbol: str, frame: pd.DataFrame) -> CandleFile:
    half = None
    if set(QUOTES) <= set(frame.columns):
        half = float(
            np.nanmedian((frame["ask_close"] - frame["bid_close"]) / (frame["ask_close"] + frame["bid_close"]))
        )
    return CandleFile(path, symbol, len(frame), frame["time"].iloc[0], frame["time"].iloc[-1], half)


def _pair_in(name: str) -> str:
    """The pair that a file's name holds, as EUR_USD; empty when it holds none, or several."""
    words = [word for word in re.split(r"[^A-Za-z]+", name.upper()) if word]
    pairs = [currencies(word) for word in words if len(word) == 6]
    pairs += [(first, second) for first, second in pairwise(words) if first in CURRENCIES and second in CURRENCIES]
    found = {f"{pair[0]}_{pair[1]}" for pair in pairs if pair is not None}
    return found.pop() if len(found) == 1 else ""

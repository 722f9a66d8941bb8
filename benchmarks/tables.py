"""The table engine in small: one partition written and many read, and a month of one-minute candles to gold."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.features import one_minute_bars
from benchmarks.range_run import Case
from benchmarks.ranges import candle_files, figures, kind_of_data, measured
from benchmarks.report import Figure, median_s

SECTION = "tables"
SESSIONS, ROWS = 90, 1440
INSTRUMENTS = ("EUR_USD", "GBP_USD", "USD_JPY")
FIRST, LAST = "2019-01-06", "2019-01-31"


def measure() -> Iterator[Figure]:
    """Parquet through the lake, then a range run in a process of its own."""
    yield from _parquet()
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        files = candle_files(Path(folder), "M1", INSTRUMENTS, FIRST, LAST)
        taken = measured(Case("M1", files, FIRST, LAST))
    data = kind_of_data("M1", INSTRUMENTS)
    yield from figures(SECTION, "one month", taken, f"{data} M1 candles of {len(files)} instruments, {FIRST} to {LAST}")


def _parquet() -> Iterator[Figure]:
    from fx_assets.features import compute_features
    from fx_assets.lake import Lake, concatenated

    bars = one_minute_bars(SESSIONS * ROWS)
    features = compute_features(bars)
    days = [str(day.date()) for day in pd.date_range("2021-01-03", periods=SESSIONS)]
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        lake = Lake(folder)
        for name, frame in (("candles", bars), ("features", features)):
            parts = {day: frame.iloc[n * ROWS : (n + 1) * ROWS] for n, day in enumerate(days)}
            how = f"{ROWS:,} rows, {len(frame.columns)} columns"
            one = iter(days)
            write = median_s(lambda: _timed(lambda: lake.write(name, {(day := next(one)): parts[day]})), SESSIONS // 2)  # noqa: B023
            yield Figure(
                SECTION, f"write a partition of {name}", write * 1e3, "ms", f"{how}, encoding and fsync included"
            )
            lake.write(name, parts)
            read = median_s(lambda: _timed(lambda: _whole(lake, name, days, concatenated)), 5)  # noqa: B023
            yield Figure(SECTION, f"read {SESSIONS} sessions of {name}", read, "s", f"{how} each, into one frame")
        stamps = median_s(lambda: _timed(lambda: lake.stamps("features")), 5) / SESSIONS
        yield Figure(SECTION, "look into a footer", stamps * 1e6, "us", "for the stamp of a partition of features")


def _whole(lake, name: str, days: list[str], concatenated) -> pd.DataFrame:
    return concatenated(part for part, _ in lake.read_tables(name, days).values())


def _timed(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

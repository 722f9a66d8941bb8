"""How fast market features are computed on one-minute bars, beside the same in plain pandas and in the `ta` package.

With FX_BENCH_DATA the prices are real, and volume and quotes are generated; else all of it is generated. Times are CPU
seconds of the process, so that neighbours on the machine and a second thread do not flatter or spoil a figure.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from benchmarks.ranges import candle_files, kind_of_data
from benchmarks.report import Figure

SECTION = "features"
INSTRUMENTS = ("EUR_USD", "GBP_USD", "USD_JPY")
FIRST, LAST = "2018-01-01", "2019-12-30"
TIMES = 5
#: `ta` is measured on the first of the same rows: it loops in Python, so a row costs it the same wherever it is.
PREFIX = 20_000
TAILS = 300
_TIMEOUT_S = 900


def one_minute_bars(rows: int, seed: int = 7) -> pd.DataFrame:
    """A random walk with a volatility that changes over the day, and a spread: every feature can be computed."""
    rng = np.random.default_rng(seed)
    minute = np.arange(rows)
    width = 2e-5 * (1.5 + np.sin(2 * np.pi * minute / 1440))
    close = 1.2 * np.exp(np.cumsum(rng.normal(0, width)))
    opened = np.concatenate([[1.2], close[:-1]])
    reach = np.abs(rng.normal(0, width, (2, rows)))
    return pd.DataFrame(
        {
            "instrument": "EUR_USD",
            "time": pd.date_range("2021-01-03T22:00Z", periods=rows, freq="1min", unit="us"),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + reach[0]),
            "low": np.minimum(opened, close) * (1 - reach[1]),
            "close": close,
            "volume": rng.integers(1, 500, rows).astype(float),
            "bid_close": close - 5e-5,
            "ask_close": close + 5e-5,
        }
    )


def two_years(instruments: tuple[str, ...] = INSTRUMENTS) -> pd.DataFrame:
    """Every minute of 2018 and 2019, with the volume and quotes that the files do not have."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        files = candle_files(Path(folder), "M1", instruments, FIRST, LAST)
        parts = [quoted(pd.read_parquet(file)).assign(instrument=name) for name, file in files.items()]
    return pd.concat(parts, ignore_index=True)


def quoted(bars: pd.DataFrame, seed: int = 11) -> pd.DataFrame:
    """The bars with tick volume that follows their range, and bid and ask around the close."""
    rng = np.random.default_rng(seed)
    span = ((bars["high"] - bars["low"]) / bars["close"]).to_numpy()
    half = bars["close"] * 2e-5 * (1.0 + rng.integers(0, 5, len(bars)))
    volume = rng.poisson(5 + 2e5 * span).astype(float)
    return bars.assign(volume=volume, bid_close=bars["close"] - half, ask_close=bars["close"] + half)


def cpu_s(work: Callable[[], object], times: int = TIMES) -> float:
    """Median CPU seconds of a call, after one that does not count."""
    work()
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def measure() -> Iterator[Figure]:
    """Throughput, ratios, memory, the newest row of a tail, and what a first call costs."""
    bars = two_years(INSTRUMENTS[:1])
    data = f"{kind_of_data('M1', INSTRUMENTS[:1])} M1 bars"
    yield from _throughput(bars, data)
    yield from _against_others(bars, data)
    yield from _live(bars)
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        file = Path(folder) / "bars.parquet"
        bars.to_parquet(file, index=False)
        yield from _memory(file, len(bars))
        yield from _first_call(file, Path(folder) / "cache")
    yield from _together(data)


def _throughput(bars: pd.DataFrame, data: str) -> Iterator[Figure]:
    from fx_assets.features import GROUPS, compute_features, feature_names

    count = len(compute_features(bars.head(2000)).columns) - 2
    taken = cpu_s(lambda: compute_features(bars))
    how = f"{len(bars):,} {data}, one instrument, {count} features, median CPU of {TIMES}"
    yield Figure(SECTION, "throughput", len(bars) / taken, "rows/s", how)
    yield Figure(SECTION, "throughput", len(bars) * count / taken / 1e6, "M values/s", "the same")
    for group in GROUPS:
        made = set(feature_names(group)) & set(compute_features(bars.head(2), [group]).columns)
        if made:
            one = cpu_s(lambda group=group: compute_features(bars, [group]), 3)
            yield Figure(SECTION, f"group {group} alone", one / len(bars) * 1e9, "ns/row", f"{len(made)} features")


def _against_others(bars: pd.DataFrame, data: str) -> Iterator[Figure]:
    from benchmarks.plain_pandas import plain_features
    from benchmarks.ta_package import COMMON, ta_columns
    from fx_assets.features import compute_features, feature_names

    part = bars.head(PREFIX)
    ours = cpu_s(lambda: compute_features(bars)) / len(bars)
    count = len(plain_features(part.head(2000)).columns) - 1
    ways = {"plain pandas": "apply for Aroon and CCI", "pandas and numpy": "numpy windows for Aroon and CCI"}
    for windows, (name, words) in enumerate(ways.items()):
        plain = cpu_s(lambda windows=windows: plain_features(bars, windows=bool(windows)), 3) / len(bars)
        yield Figure(SECTION, name, 1 / plain, "rows/s", f"all {len(bars):,} {data}, {count} features; {words}")
        yield Figure(SECTION, f"{name} over ours", plain / ours, "x", "both on all rows, in the same run")
    names = list(COMMON)
    package = cpu_s(lambda: ta_columns(part), 1) / len(part)
    technical = cpu_s(lambda: compute_features(bars, ["technical"]), 3) / len(bars)
    whole = f"ours: the whole group technical, {len(feature_names('technical'))} features"
    how = f"{len(names)} columns both have, {PREFIX:,} of the {data}: {', '.join(names)}"
    yield Figure(SECTION, "ta package", 1 / package, "rows/s", how)
    yield Figure(SECTION, "ta package over ours", package / technical, "x", whole)


def _live(bars: pd.DataFrame) -> Iterator[Figure]:
    from fx_assets.features import latest_features, max_window

    ends = np.random.default_rng(3).integers(max_window(), len(bars), TAILS)
    tails = [bars.iloc[end - max_window() : end].reset_index(drop=True) for end in ends]
    latest_features(tails[0])
    taken = []
    for tail in tails:
        started = time.perf_counter()
        latest_features(tail)
        taken.append(time.perf_counter() - started)
    how = f"median wall time of {TAILS} tails of {max_window()} bars, one instrument"
    yield Figure(SECTION, "newest row", statistics.median(taken) * 1e3, "ms", how)
    yield Figure(SECTION, "newest row, 99th percentile", float(np.percentile(taken, 99)) * 1e3, "ms", "the same")


class Report(msgspec.Struct):
    """What a process of its own says; bytes and seconds."""

    rows: int = 0
    output: int = 0
    before: int = 0
    peak: int = 0
    first_s: float = 0.0
    first_cpu_s: float = 0.0
    second_s: float = 0.0


def _memory(file: Path, rows: int) -> Iterator[Figure]:
    told = _apart("memory", file)
    how = f"{rows:,} rows in a process of its own, output {told.output / 2**20:,.0f} MiB"
    yield Figure(SECTION, "memory for the work", (told.peak - told.before) / told.output, "x output", how)
    whole = f"{told.peak / 2**20:,.0f} MiB, interpreter, libraries and input included"
    yield Figure(SECTION, "memory of the process", told.peak / told.output, "x output", whole)


def _first_call(file: Path, cache: Path) -> Iterator[Figure]:
    how = {
        "nothing compiled": "2,000 bars, an empty NUMBA_CACHE_DIR",
        "compiled before": "a new process, the same bars",
    }
    for state, words in how.items():
        told = _apart("first", file, cache)
        yield Figure(SECTION, f"first call, {state}", told.first_s, "s", f"{words}; CPU {told.first_cpu_s:.2f} s")
    yield Figure(SECTION, "second call", told.second_s * 1e3, "ms", "the same bars")


def _apart(what: str, file: Path, cache: Path | None = None) -> Report:
    """`benchmarks.features_run` in a process of its own. Raises RuntimeError with what it said when it fails."""
    single = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    environment = {**os.environ, **single, **({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.features_run", what, str(file)],
        capture_output=True,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the run failed: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Report)


def _together(data: str) -> Iterator[Figure]:
    """Three instruments, so that those across instruments are among the features."""
    from fx_assets.features import compute_features

    bars = two_years()
    bars = bars.loc[bars.groupby("instrument").cumcount() < len(bars) // len(INSTRUMENTS) // 3]
    taken = cpu_s(lambda: compute_features(bars), 3)
    count = len(compute_features(bars.groupby("instrument").head(100)).columns) - 2
    how = f"{len(bars):,} {data} of {len(INSTRUMENTS)} instruments, {count} features, CPU of all threads"
    yield Figure(SECTION, "throughput, across instruments too", len(bars) / taken, "rows/s", how)

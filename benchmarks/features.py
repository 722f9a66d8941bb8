"""How fast features are computed: generated one-minute bars, one instrument."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.report import Figure

ROWS = 200_000
SECTION = "features"


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


def measure() -> Iterator[Figure]:
    """Rows a second in one process, after the kernels are compiled."""
    from fx_assets.features import available_features, compute_features

    bars = one_minute_bars(ROWS)
    started = time.perf_counter()
    compute_features(bars.head(2000))
    first = time.perf_counter() - started
    started, cpu = time.perf_counter(), time.process_time()
    table = compute_features(bars)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    count = len(available_features(bars.columns)[0])
    how = f"{len(table):,} generated M1 bars, {count} features"
    yield Figure(SECTION, "first call", first, "s", "2,000 bars, with loading the compiled kernels")
    yield Figure(SECTION, "throughput", len(table) / wall, "rows/s", how)
    yield Figure(SECTION, "CPU", cpu / len(table) * 1e6, "us/row", "the same")

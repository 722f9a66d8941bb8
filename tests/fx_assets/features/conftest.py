"""Bars for the feature tests: the packaged sample, and shapes that break careless formulas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets

SAMPLE = Path(fx_assets.__file__).parent / "sample"


def sample_bars(symbols: tuple[str, ...], rows: int) -> pd.DataFrame:
    parts = [pd.read_parquet(SAMPLE / f"{name}_H1.parquet").head(rows).assign(instrument=name) for name in symbols]
    return pd.concat(parts, ignore_index=True)


def made_bars(close: np.ndarray, width: float = 0.001, start: str = "2021-01-04", freq: str = "1h") -> pd.DataFrame:
    close = np.asarray(close, float)
    opened = np.concatenate([close[:1], close[:-1]])
    return pd.DataFrame(
        {
            "instrument": "X",
            "time": pd.date_range(start, periods=len(close), freq=freq, tz="UTC"),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + width),
            "low": np.minimum(opened, close) * (1 - width),
            "close": close,
            "volume": 100.0,
            "bid_close": close * (1 - 1e-4),
            "ask_close": close * (1 + 1e-4),
        }
    )


@pytest.fixture(scope="session")
def real_bars() -> pd.DataFrame:
    bars = sample_bars(("GBP_USD", "USD_JPY"), 1600)
    spread = 1e-4 * (1.0 + (np.arange(len(bars)) % 7))
    return bars.assign(bid_close=bars["close"] * (1 - spread), ask_close=bars["close"] * (1 + spread))


@pytest.fixture
def make():
    return made_bars

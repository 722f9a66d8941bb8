"""Bars for the feature tests: the packaged sample, and shapes that break careless formulas."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets
from fx_assets.features import compute_features
from fx_assets.features.reference import Reference

SAMPLE = Path(fx_assets.__file__).parent / "sample"
PAIRS = ("AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY")
ROWS = 2000


def sample_bars(symbols: tuple[str, ...], rows: int) -> pd.DataFrame:
    """The first rows of each pair's real hourly bars."""
    parts = [pd.read_parquet(SAMPLE / f"{name}_H1.parquet").head(rows).assign(instrument=name) for name in symbols]
    return pd.concat(parts, ignore_index=True)


def quoted(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars with bid and ask around the close; the spread changes from bar to bar, as it does in a market."""
    spread = 1e-4 * (1.0 + np.random.default_rng(8).gamma(2.0, 1.0, len(bars)))
    return bars.assign(bid_close=bars["close"] * (1 - spread), ask_close=bars["close"] * (1 + spread))


def with_cross(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars and GBP_JPY, made of GBP_USD and USD_JPY where both are, a little off."""
    prices = ["open", "high", "low", "close"]
    left, right = (bars[bars["instrument"] == name].set_index("time") for name in ("GBP_USD", "USD_JPY"))
    cross = left[prices].mul(right[prices]).dropna()
    off = 1.0 + 1e-4 * np.sin(np.arange(len(cross)) / 7.0)
    cross = cross.mul(off, axis=0).assign(instrument="GBP_JPY", volume=left["volume"].reindex(cross.index))
    return pd.concat([bars, quoted(cross.reset_index())], ignore_index=True)[list(bars.columns)]


def made_bars(close: np.ndarray, width: float = 0.001, start: str = "2021-01-04", freq: str = "1h") -> pd.DataFrame:
    """Bars through the given closes."""
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
    """Two pairs."""
    return quoted(sample_bars(("GBP_USD", "USD_JPY"), ROWS))


@pytest.fixture(scope="session")
def all_bars() -> pd.DataFrame:
    """Every pair of the sample and a cross, so that features across instruments have all they need."""
    return with_cross(quoted(sample_bars(PAIRS, ROWS)))


@pytest.fixture
def make():
    return made_bars


def made_reference() -> Reference:
    """Releases every few hours, now and then two at once or a figure that comes late, and rates that change."""
    rng = np.random.default_rng(4)
    time = pd.date_range("2020-08-03T00:30Z", "2021-04-30T00:00Z", freq="7h", unit="us")
    rows = np.repeat(np.arange(len(time)), rng.integers(1, 3, len(time)))
    late = pd.to_timedelta(rng.choice([0, 0, 3, 90], len(rows)), unit="min")
    kinds = pd.DataFrame({"currency": rng.choice(["USD", "GBP", "JPY", "AUD"], len(rows)), "time": time[rows]})
    economic = kinds.assign(
        available_at=kinds["time"] + late,
        event=[
            f"{name} {n % 3}" for n, name in enumerate(rng.choice(["Jobless claims", "Prices", "Output"], len(rows)))
        ],
        impact=rng.integers(1, 4, len(rows)),
        actual=np.where(rng.random(len(rows)) < 0.9, rng.normal(size=len(rows)), np.nan),
        forecast=rng.normal(size=len(rows)),
        previous=np.nan,
    ).drop_duplicates(["time", "currency", "event"])
    moments = pd.date_range("2020-07-01", "2021-04-30", freq="9D", tz="UTC", unit="us")
    names = ("USD", "GBP", "JPY", "AUD", "CAD")
    rates = pd.DataFrame(
        [(moment, name, float(rng.integers(-2, 20)) / 4) for moment in moments for name in names],
        columns=["available_at", "currency", "rate"],
    )
    return Reference(economic, rates)


def known_by(reference: Reference, moment: pd.Timestamp) -> Reference:
    """What was known then: the releases' times and impacts, but no later figure and no later rate."""
    economic, rates = reference.economic, reference.rates
    assert economic is not None
    assert rates is not None
    unknown = economic["available_at"] > moment
    return Reference(economic.assign(actual=economic["actual"].mask(unknown)), rates[rates["available_at"] <= moment])


@pytest.fixture(scope="session")
def everything():
    """compute_features with all that any group needs, as far as it was known at the close of the last bar."""
    reference, hour = made_reference(), pd.Timedelta(hours=1)
    known_at = lru_cache(maxsize=64)(lambda moment: known_by(reference, moment))

    def compute(bars: pd.DataFrame) -> pd.DataFrame:
        known = known_at(bars["time"].max() + hour) if len(bars) else reference
        return compute_features(bars, reference=known, bar_us=hour // pd.Timedelta(microseconds=1))

    return compute

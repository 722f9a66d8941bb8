"""Odd inputs: every value is finite or in its warm-up, and what cannot be used is refused with a remedy."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.features import (
    FEATURES,
    available_features,
    compute_features,
    feature_names,
    latest_features,
    max_window,
    specs,
)
from fx_assets.features.blocks import ordered_bars
from tests.fx_assets.features.conftest import made_reference

ROWS = 1200


def assert_defined(frame: pd.DataFrame) -> None:
    """Missing exactly in the declared warm-up, and never infinite."""
    nth = frame.groupby("instrument").cumcount().to_numpy()
    for spec in FEATURES:
        if spec.name in frame:
            column = frame[spec.name].to_numpy()
            assert not np.isinf(column).any(), spec.name
            assert not np.isnan(column[nth >= spec.warmup]).any(), spec.name
            assert np.isnan(column[nth < spec.warmup]).all(), spec.name


SHAPES = {
    "flat": np.full(ROWS, 1.1),
    "zigzag": 1.1 + 0.1 * (np.arange(ROWS) % 2),
    "exploding": np.geomspace(1e-8, 1e8, ROWS),
    "collapsing": np.geomspace(1e8, 1e-8, ROWS),
    "spike": np.where(np.arange(ROWS) == 600, 1e9, 1.0),
    "step": np.where(np.arange(ROWS) < 600, 1e-6, 1e6),
    "heavy tails": np.exp(np.cumsum(np.random.default_rng(0).standard_t(2, ROWS) * 0.2)),
    "tiny": 1e-300 * (1.0 + (np.arange(ROWS) % 3)),
    "huge": 1e300 * (1.0 + (np.arange(ROWS) % 3)),
    "last digits": 1.0 + np.finfo(float).eps * (np.arange(ROWS) % 5),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [0.0, 0.001])
@pytest.mark.filterwarnings("error")
def test_extreme_prices_give_finite_values(make, shape, width):
    bars = make(SHAPES[shape], width=width)
    assert_defined(compute_features(bars))
    assert_defined(compute_features(bars.assign(volume=0.0, bid_close=np.nan, ask_close=0.0)))


@pytest.mark.parametrize("shape", SHAPES)
def test_extreme_prices_beside_others_give_finite_values(make, shape, everything):
    """Each shape as one of three instruments that make a cross, with releases and rates."""
    shaped = make(SHAPES[shape]).assign(instrument="GBP_USD")
    calm = make(np.exp(np.cumsum(np.random.default_rng(5).normal(0, 1e-3, ROWS))))
    bars = pd.concat([shaped, calm.assign(instrument="USD_JPY"), calm.assign(instrument="GBP_JPY")])
    found = everything(bars)
    assert list(found.columns[2:]) == feature_names()
    assert_defined(found)


@pytest.mark.parametrize("volume", [0.0, 1e300, 1e-300, np.nan, np.inf, -5.0])
def test_odd_volume_and_quotes_give_finite_values(make, volume):
    close = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 1e-3, ROWS)))
    some = np.arange(ROWS) % 3 == 0
    for rows in (some, np.full(ROWS, True)):
        odd = np.where(rows, volume, 100.0)
        assert_defined(compute_features(make(close).assign(volume=odd)))
        assert_defined(compute_features(make(close).assign(bid_close=odd, ask_close=odd[::-1])))


def test_flat_prices_have_neutral_values(make):
    last = latest_features(make(np.full(max_window(), 1.1), width=0.0).assign(volume=0.0)).iloc[0]
    neutral = {"rsi_14": 50, "bollinger_position": 0.5, "stochastic_k": 50, "williams_r_28": -50, "cci_20": 0}
    for name, value in neutral.items():
        assert last[name] == value, name
    sizes = (
        "realised",
        "yang",
        "parkinson",
        "garman",
        "rogers",
        "bipower",
        "move_adjusted",
        "log_return",
        "ema",
        "sma",
    )
    still = [name for name in feature_names() if name.startswith(sizes)]
    more = ["macd", "kama_distance_10", "roc_10", "atr_14", "adx_14", "amihud_24", "trend_slope_64", "drawdown_120"]
    for name in [*still, *more]:
        assert last[name] == 0.0, name


def test_a_month_long_gap_is_survived(make):
    bars = make(np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, 2 * ROWS))))
    late = bars["time"] + pd.Timedelta(days=31)
    assert_defined(compute_features(bars.assign(time=bars["time"].where(bars.index < 900, late))))


@pytest.mark.parametrize("freq", ["1min", "15min", "1h", "4h", "1D"])
def test_other_granularities(make, freq):
    bars = make(np.exp(np.cumsum(np.random.default_rng(2).normal(0, 1e-3, ROWS))), freq=freq)
    assert_defined(compute_features(bars))


def test_one_row_and_no_rows(make):
    one = compute_features(make(np.array([1.1])))
    assert len(one) == 1
    assert_defined(one)
    none = compute_features(make(np.array([1.1])).iloc[:0])
    assert len(none) == 0
    assert list(none.columns) == list(one.columns)


def test_groups_and_names(make):
    frame = compute_features(make(np.full(30, 1.1)), ["calendar", "technical"])
    assert list(frame.columns) == [
        "instrument",
        "time",
        *feature_names("calendar"),
        *feature_names("technical"),
    ]
    assert len(feature_names()) == len(set(feature_names())) == len(FEATURES)
    assert max_window() == max(spec.window for spec in FEATURES) <= 520
    with pytest.raises(ValueError, match="'technicals' is not one of technical"):
        specs("technicals")


def test_missing_optional_columns_drop_only_what_needs_them(make):
    bars = make(np.full(30, 1.1)).drop(columns=["volume", "bid_close"])
    names, dropped = available_features(bars.columns)
    missing = {"volume", "bid_close", "others", "triangle", "economic", "rates"}
    assert set(dropped) == {spec.name for spec in FEATURES if missing & set(spec.requires)}
    assert dropped["spread_bps"] == ("bid_close",)
    assert dropped["amihud_24"] == ("volume",)
    assert dropped["basket_beta_120"] == ("others",)
    assert list(compute_features(bars).columns[2:]) == names


def test_what_is_there_is_not_dropped(all_bars, everything):
    names, dropped = available_features(all_bars.columns, all_bars["instrument"].unique(), made_reference())
    assert (names, dropped) == (feature_names(), {})
    two = all_bars[all_bars["instrument"].isin(["GBP_USD", "USD_JPY"])]
    names, dropped = available_features(two.columns, two["instrument"].unique())
    assert {group for name in dropped for group in [spec.group for spec in FEATURES if spec.name == name]} == {
        "cross",
        "economic",
        "rates",
    }
    assert set(dropped.values()) == {("triangle",), ("economic",), ("rates",)}
    assert list(compute_features(two).columns[2:]) == names


def test_latest_is_the_newest_row_of_each_instrument(real_bars):
    latest = latest_features(real_bars.groupby("instrument").tail(max_window()))
    whole = compute_features(real_bars).groupby("instrument").tail(1).reset_index(drop=True)
    assert latest.equals(whole)


def test_unusable_bars_are_refused(make):
    bars = make(np.full(5, 1.1))
    with pytest.raises(DataError, match="column\\(s\\) high missing"):
        compute_features(bars.drop(columns="high"))
    with pytest.raises(DataError, match="no time zone"):
        compute_features(bars.assign(time=bars["time"].dt.tz_localize(None)))
    with pytest.raises(DataError, match="X has 2021-01-04 00:00:00\\+00:00 twice"):
        compute_features(pd.concat([bars, bars.head(1)]))
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="not a positive number"):
            compute_features(bars.assign(low=bars["low"].where(bars.index != 3, bad)))


@pytest.mark.parametrize("instruments", [1, 3])
def test_bars_in_any_order_are_the_same_bars(instruments):
    rng, times = np.random.default_rng(2), pd.date_range("2024-01-01", periods=50, freq="1min", tz="UTC", unit="us")
    names = [f"AA{chr(65 + n)}_USD" for n in range(instruments)]
    bars = pd.DataFrame({"instrument": np.repeat(names, 50), "time": np.tile(times, instruments)})
    bars = bars.assign(**{name: rng.uniform(1, 2, len(bars)) for name in ("open", "high", "low", "close")})
    stored = bars.sort_values(["time", "instrument"])
    for given in (bars, stored, bars.sample(frac=1.0, random_state=1)):
        pd.testing.assert_frame_equal(ordered_bars(given), bars)

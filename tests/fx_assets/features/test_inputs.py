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


def assert_defined(frame: pd.DataFrame) -> None:
    for spec in FEATURES:
        if spec.name in frame:
            column = frame[spec.name].to_numpy()
            assert not np.isinf(column).any(), spec.name
            assert not np.isnan(column[spec.warmup :]).any(), spec.name
            assert np.isnan(column[: spec.warmup]).all(), spec.name


@pytest.mark.parametrize(
    "close",
    [
        np.full(600, 1.1),
        1.1 + 0.1 * (np.arange(600) % 2),
        np.geomspace(1e-8, 1e8, 600),
        np.where(np.arange(600) == 300, 1e9, 1.0),
        np.exp(np.cumsum(np.random.default_rng(0).standard_t(2, 600) * 0.2)),
    ],
    ids=["flat", "zigzag", "exploding", "spike", "heavy tails"],
)
@pytest.mark.parametrize("width", [0.0, 0.001])
def test_extreme_prices_give_finite_values(make, close, width):
    bars = make(close, width=width)
    assert_defined(compute_features(bars))
    assert_defined(compute_features(bars.assign(volume=0.0, bid_close=np.nan, ask_close=0.0)))


def test_flat_prices_have_neutral_values(make):
    last = latest_features(make(np.full(600, 1.1), width=0.0).assign(volume=0.0)).iloc[0]
    neutral = {"rsi_14": 50, "bollinger_position": 0.5, "stochastic_k": 50, "williams_r_28": -50, "cci_20": 0}
    for name, value in neutral.items():
        assert last[name] == value, name
    for name in (
        "realised_24",
        "yang_zhang_24",
        "sma_distance_200",
        "move_adjusted_slow",
        "amihud_24",
        "macd",
    ):
        assert last[name] == 0.0, name


def test_a_month_long_gap_is_survived(make):
    bars = make(np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, 1200))))
    late = bars["time"] + pd.Timedelta(days=31)
    assert_defined(compute_features(bars.assign(time=bars["time"].where(bars.index < 700, late))))


@pytest.mark.parametrize("freq", ["1min", "15min", "4h", "1D"])
def test_other_granularities(make, freq):
    bars = make(np.exp(np.cumsum(np.random.default_rng(2).normal(0, 1e-3, 700))), freq=freq)
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
    assert set(dropped) == {spec.name for spec in FEATURES if {"volume", "bid_close"} & set(spec.requires)}
    assert dropped["spread_bps"] == ("bid_close",)
    assert list(compute_features(bars).columns[2:]) == names


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

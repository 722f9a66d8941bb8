"""A value may depend on its own window only: not on later bars, and not on where the computation started."""

import numpy as np
import pytest

from fx_assets.features import FEATURES, compute_features, max_window
from fx_assets.features.truncation import assert_no_lookahead, assert_start_independent


def test_cutting_the_future_off_changes_nothing(real_bars):
    cuts = np.random.default_rng(3).integers(2, len(real_bars), 8)
    assert_no_lookahead(compute_features, real_bars, [*cuts.tolist(), len(real_bars) - 1])


def test_a_later_start_changes_nothing_once_the_window_is_full(real_bars):
    assert_start_independent(compute_features, real_bars, [1, 7, 24, 333, 1001], max_window())


def test_each_declared_window_is_enough_and_the_warm_up_is_exact(real_bars):
    bars = real_bars[real_bars["instrument"] == "GBP_USD"].reset_index(drop=True)
    whole = compute_features(bars)
    for spec in FEATURES:
        column = whole[spec.name].to_numpy()
        assert np.isnan(column).sum() == spec.warmup == spec.window - 1, spec.name
        assert np.isfinite(column[spec.warmup :]).all(), spec.name
    for window in sorted({spec.window for spec in FEATURES}):
        for last in (900, 1311):
            alone = compute_features(bars.iloc[last - window + 1 : last + 1]).iloc[-1]
            for spec in FEATURES:
                if spec.window <= window:
                    assert alone[spec.name] == whole.at[last, spec.name], (spec.name, window, last)


def test_instruments_do_not_touch_each_other(real_bars):
    together = compute_features(real_bars)
    alone = compute_features(real_bars[real_bars["instrument"] == "USD_JPY"])
    part = together[together["instrument"] == "USD_JPY"].reset_index(drop=True)
    assert alone.equals(part)


def test_row_order_of_the_input_does_not_matter(real_bars):
    shuffled = real_bars.sample(frac=1.0, random_state=5)
    assert compute_features(shuffled).equals(compute_features(real_bars))


def test_a_centred_window_is_caught(real_bars):
    def leaky(bars):
        mean = bars.groupby("instrument")["close"].transform(lambda c: c.rolling(5, center=True).mean())
        return bars[["instrument", "time"]].assign(centred=mean)

    with pytest.raises(AssertionError, match="centred"):
        assert_no_lookahead(leaky, real_bars, [500])


def test_a_running_sum_is_caught(real_bars):
    def drifting(bars):
        total = bars.groupby("instrument")["close"].cumsum()
        return bars[["instrument", "time"]].assign(running=total - total.groupby(bars["instrument"]).shift(20))

    with pytest.raises(AssertionError, match="running"):
        assert_start_independent(drifting, real_bars, [333], max_window())

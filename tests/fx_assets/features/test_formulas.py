"""Every market feature of one instrument against the same formula in plain pandas, on real bars."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.plain_pandas import GROUPS, plain_features
from fx_assets.features import FEATURES, compute_features

# pandas' exponential means never end; where they are as long as the engine's, what is left out has faded.
SETTLED = 1400
RELATIVE = 1e-7
DECLARED = [spec for spec in FEATURES if spec.group in GROUPS]

#: Where 1e-7 of the value is not the measure, because it passes zero: an absolute difference, and why.
ABSOLUTE = {
    "ema_distance_50": (1e-10, "the mean ends where 1e-9 of the weight is left: that share of a move of the price"),
    "trend_r2_64": (5e-9, "the square of a correlation near zero, which pandas takes from running sums"),
}


@pytest.fixture(scope="module")
def cases(real_bars) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """What the engine says and what pandas says, for each instrument."""
    made = []
    for _, bars in real_bars.groupby("instrument"):
        made.append((compute_features(bars), plain_features(bars)))
    return made


def test_every_feature_has_a_formula_to_compare_with(cases):
    assert {spec.name for spec in DECLARED} == set(cases[0][1].columns) - {"time"}


@pytest.mark.parametrize("name", [spec.name for spec in DECLARED])
def test_values_are_those_of_plain_pandas(cases, name):
    absolute = ABSOLUTE.get(name, (0.0, ""))[0]
    for ours, plain in cases:
        actual, expected = ours[name].to_numpy()[SETTLED:], plain[name].to_numpy(float)[SETTLED:]
        assert len(actual) > 100
        np.testing.assert_allclose(actual, expected, rtol=RELATIVE, atol=absolute, err_msg=name)


@pytest.mark.parametrize("freq", ["1min", "4h", "1D"])
def test_bars_of_other_lengths_have_the_values_of_plain_pandas(make, freq):
    """Minutes are measured against the bars just before them, longer bars against few of the same time of day."""
    rng = np.random.default_rng(12)
    bars = make(np.round(np.exp(np.cumsum(rng.normal(0, 1e-3, 1500))), 5), freq=freq)
    reach = 1 + 1e-3 * rng.random((2, len(bars)))
    half = bars["close"] * 1e-5 * rng.integers(1, 9, len(bars))
    bars = bars.assign(high=bars["high"] * reach[0], low=bars["low"] / reach[1], volume=rng.poisson(80.0, len(bars)))
    bars = bars.assign(bid_close=bars["close"] - half, ask_close=bars["close"] + half)
    ours, plain = compute_features(bars), plain_features(bars)
    for spec in DECLARED:
        actual, expected = ours[spec.name].to_numpy()[SETTLED:], plain[spec.name].to_numpy(float)[SETTLED:]
        absolute = max(1e-10, ABSOLUTE.get(spec.name, (0.0, ""))[0])
        np.testing.assert_allclose(actual, expected, rtol=RELATIVE, atol=absolute, err_msg=spec.name)

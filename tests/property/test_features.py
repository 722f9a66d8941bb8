"""Properties of the features that must hold for any price path."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features import FEATURES, compute_features
from fx_assets.features.truncation import assert_no_lookahead


def walk(seed: int, rows: int, missing: float, flat: float) -> pd.DataFrame:
    """A path with repeated prices and missing bars, on a coarse price grid."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(rows) < flat, 0, rng.integers(-40, 41, rows))
    close = np.maximum(13000 + np.cumsum(steps), 10) / 1e4
    opened = np.maximum(close + rng.integers(-5, 6, rows) / 1e4, 1e-4)
    high = np.maximum(opened, close) + rng.integers(0, 30, rows) / 1e4
    low = np.maximum(np.minimum(opened, close) - rng.integers(0, 5, rows) / 1e4, 1e-4)
    time = pd.date_range("2021-02-20", periods=rows, freq="1h", tz="UTC")
    bars = pd.DataFrame({"instrument": "X", "time": time, "open": opened, "high": high, "low": low, "close": close})
    return bars.assign(volume=rng.integers(0, 50, rows).astype(float))[rng.random(rows) >= missing]


paths = st.builds(
    walk,
    st.integers(0, 2**32 - 1),
    st.one_of(st.integers(2, 60), st.integers(500, 800)),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.95, 1.0]),
)


@settings(max_examples=25, deadline=None)
@given(paths, st.data())
def test_no_row_knows_its_future(bars, data):
    cut = data.draw(st.integers(0, len(bars)))
    assert_no_lookahead(compute_features, bars, [cut])


@settings(max_examples=25, deadline=None)
@given(paths, st.data())
def test_a_value_is_missing_or_the_same_wherever_the_bars_start(bars, data):
    drop = data.draw(st.integers(0, len(bars)))
    whole = compute_features(bars).iloc[drop:]
    later = compute_features(bars.iloc[drop:])
    for spec in FEATURES:
        if spec.name in whole:
            left, right = whole[spec.name].to_numpy(), later[spec.name].to_numpy()
            assert np.isnan(right[: spec.warmup]).all()
            assert (left[spec.warmup :] == right[spec.warmup :]).all(), spec.name
            assert not np.isinf(left).any()

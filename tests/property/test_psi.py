"""Properties of the population stability index that hold for any data."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fx_monitoring.drift.psi import psi, psi_table, quantile_edges

values = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")])
)
samples = arrays(np.float64, st.integers(1, 200), elements=values)


@given(samples, samples)
def test_never_negative_and_always_finite(reference, current):
    value = psi(reference, current)
    assert np.isfinite(value)
    assert value >= 0


@given(samples)
def test_zero_against_itself_in_any_order(sample):
    assert psi(sample, sample[::-1]) == 0


@given(samples, samples, st.integers(1, 5))
def test_repeating_every_current_row_changes_nothing(reference, current, times):
    """It compares shares, not counts."""
    assert np.isclose(psi(reference, np.tile(current, times)), psi(reference, current), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1.5), st.floats(0.05, 1), st.booleans())
def test_grows_with_the_shift(seed, shift, more, downwards):
    """A normal feature moved further drifts more, and never by more than binning can show.

    Jeffreys' divergence of two unit normals d apart is d squared; binning only loses some of it. The current
    sample is the reference moved, so what is left to chance is only how its rows lie about the bin edges.
    """
    reference = np.random.default_rng(seed).normal(size=4_000)
    sign = -1 if downwards else 1
    near = psi(reference, reference + sign * shift)
    far = psi(reference, reference + sign * (shift + more))
    assert far > near
    assert near <= shift**2 + 0.05


@given(samples)
def test_every_finite_value_has_one_bin_and_edges_ascend(sample):
    edges = quantile_edges(sample)
    assert np.all(np.diff(edges) > 0)
    finite = sample[np.isfinite(sample)]
    counts = np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1)
    assert counts.sum() == len(finite)


@given(samples, samples)
def test_the_table_equals_the_single_value(reference, current):
    table = psi_table(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), ["x"])
    assert table["psi"][0] == psi(reference, current)
    assert np.isnan(table["ks"][0]) or 0 <= table["ks"][0] <= 1

"""The index against hand-computed values, its bins on awkward features, its bands and its speed."""

import math

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_monitoring.drift.psi import FLOOR, kl_divergence, level, psi, psi_table, quantile_edges, robust_scale


def test_equals_the_published_formula_worked_by_hand():
    """Ten bins of 10 % each in the reference; the current shares are written out below.

    PSI = sum (a - e) ln(a / e), with e = 0.1 throughout:
      2 bins of 0.05: 2 * (-0.05) * ln(0.5) = 0.0693147; 2 of 0.15: 2 * 0.05 * ln(1.5) = 0.0405465;
      1 of 0.08: -0.02 * ln(0.8) = 0.0044629; 1 of 0.12: 0.02 * ln(1.2) = 0.0036464; 4 of 0.1: 0.
    """
    reference = np.arange(1_000, dtype=float)
    shares = [0.05, 0.05, 0.15, 0.15, 0.08, 0.12, 0.1, 0.1, 0.1, 0.1]
    current = np.concatenate([np.full(round(1_000 * share), 100 * i + 50.0) for i, share in enumerate(shares)])
    assert psi(reference, current) == pytest.approx(0.0693147 + 0.0405465 + 0.0044629 + 0.0036464, abs=1e-6)


def test_a_bin_empty_on_one_side_counts_with_the_floor():
    reference = np.arange(1_000, dtype=float)
    current = reference[reference >= 100]  # the lowest tenth is gone; the other nine hold 100 rows of 900 each
    emptied = (FLOOR - 0.1) * math.log(FLOOR / 0.1)
    others = 9 * (1 / 9 - 0.1) * math.log((1 / 9) / 0.1)
    assert psi(reference, current) == pytest.approx(emptied + others, rel=1e-9)


def test_missing_values_are_a_bin_of_their_own():
    reference = np.arange(1_000, dtype=float)
    current = reference.copy()
    current[::2] = np.nan
    by_bins = 10 * (0.05 - 0.1) * math.log(0.5) + (0.5 - FLOOR) * math.log(0.5 / FLOOR)
    assert psi(reference, current) == pytest.approx(by_bins, rel=1e-9)
    assert psi(current, current) == 0
    assert psi([np.nan, np.inf], [np.nan, -np.inf]) == 0


def test_a_constant_feature_drifts_to_either_side():
    constant = np.full(800, 1.5)
    assert psi(constant, constant) == 0
    assert psi(constant, constant + 1e-9) > 5
    assert psi(constant, constant - 1e-9) > 5


def test_a_flag_is_binned_by_value():
    """e = (0.9, 0.1), a = (0.6, 0.4): (-0.3) ln(0.6 / 0.9) + 0.3 ln(0.4 / 0.1)."""
    reference, current = np.repeat([0.0, 1.0], [900, 100]), np.repeat([0.0, 1.0], [600, 400])
    expected = -0.3 * math.log(0.6 / 0.9) + 0.3 * math.log(4)
    assert psi(reference, current) == pytest.approx(expected, rel=1e-9)


def test_a_mass_point_amid_a_continuous_feature_is_separated():
    tail = np.linspace(0.001, 1, 400)
    reference = np.concatenate([np.zeros(600), tail])
    moved = np.concatenate([np.full(600, -0.001), tail])
    edges = quantile_edges(reference)
    assert edges[0] == 0
    assert edges[1] == np.nextafter(0, 1)
    assert psi(reference, moved) > 1


def test_edges_are_the_inner_quantiles_of_a_continuous_feature():
    np.testing.assert_allclose(quantile_edges(np.arange(101)), np.arange(10, 100, 10))
    np.testing.assert_allclose(quantile_edges(np.arange(101), bins=4), [25, 50, 75])
    assert len(quantile_edges([np.nan, np.inf])) == 0
    with pytest.raises(ValueError, match="at least 2"):
        quantile_edges([1.0, 2.0], bins=1)


def test_no_rows_is_an_error_that_says_which_side():
    with pytest.raises(ValueError, match="reference sample has no rows"):
        psi([], [1.0])
    with pytest.raises(ValueError, match="current sample has no rows"):
        psi([1.0], [])


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (0.0, "none"),
        (math.nextafter(0.1, 0), "none"),
        (0.1, "minor"),
        (math.nextafter(0.15, 0), "minor"),
        (0.15, "moderate"),
        (0.25, "moderate"),
        (math.nextafter(0.25, 1), "critical"),
        (9.0, "critical"),
        (float("nan"), "inconclusive"),
    ],
)
def test_bands_at_their_edges(value, band):
    assert level(value) == band


def test_table_holds_every_feature_in_order():
    rng = np.random.default_rng(1)
    reference = pd.DataFrame({"b": rng.normal(size=1_000), "a": rng.normal(size=1_000), "gone": np.nan})
    current = pd.DataFrame({"b": rng.normal(2, 1, 700), "a": rng.normal(size=700), "gone": np.nan})
    current.loc[:69, "a"] = np.nan
    table = psi_table(reference, current, ["b", "a", "gone"])
    assert table["feature"].tolist() == ["b", "a", "gone"]
    assert table["psi"][0] == psi(reference["b"], current["b"])
    assert table["level"][0] == "critical"
    assert table["missing_share_cur"].tolist() == [0, pytest.approx(0.1), 1]
    assert table["psi"][2] == 0
    assert math.isnan(table["ks"][2])


def test_ks_distance_equals_scipys_on_small_samples():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=1_500), rng.normal(0.3, 1.2, size=900).round(1)
    table = psi_table(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), ["x"])
    statistic, _ = ks_2samp(reference, current)
    assert table["ks"][0] == pytest.approx(statistic, abs=1e-12)


def test_nullable_and_boolean_columns_are_read():
    reference = pd.DataFrame({"flag": [True, False] * 50, "n": pd.array([1, None] * 50, dtype="Int64")})
    table = psi_table(reference, reference, ["flag", "n"])
    assert list(table["psi"]) == [0, 0]
    assert table["missing_share_ref"][1] == 0.5


def test_a_missing_column_or_an_empty_frame_says_what_to_do():
    frame = pd.DataFrame({"a": [1.0]})
    with pytest.raises(DataError, match=r"current frame has no column b\. Materialize"):
        psi_table(frame.assign(b=1.0), frame, ["a", "b"])
    with pytest.raises(DataError, match="reference frame has no rows"):
        psi_table(frame.iloc[:0], frame, ["a"])


def published_index(reference: list[float], current: list[float]) -> float:
    """Siddiqi's index in plain Python: deciles of the reference, shares counted one by one, floored at 0.0001."""
    ordered = sorted(reference)
    deciles = []
    for k in range(1, 10):
        place = k / 10 * (len(ordered) - 1)
        low = int(place)
        deciles.append(ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]))
    total = 0.0
    for k in range(10):
        shares = []
        for sample in (reference, current):
            inside = [x for x in sample if (k == 0 or x >= deciles[k - 1]) and (k == 9 or x < deciles[k])]
            shares.append(max(len(inside) / len(sample), 0.0001))
        total += (shares[1] - shares[0]) * math.log(shares[1] / shares[0])
    return total


@pytest.mark.parametrize("seed", range(8))
def test_equals_an_implementation_written_from_the_publication(seed):
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=700) if seed % 2 else rng.lognormal(-7, 0.6, 700)
    current = reference[:400] * rng.uniform(0.7, 1.6) + rng.normal(0, reference.std() / 5)
    assert psi(reference, current) == pytest.approx(published_index(list(reference), list(current)), abs=1e-12)


def test_divergence_of_the_shares_worked_by_hand():
    """e = (0.9, 0.1), a = (0.6, 0.4): 0.6 ln(0.6 / 0.9) + 0.4 ln(0.4 / 0.1); the empty third bin adds 0.0001 ln(1)."""
    reference, current = np.repeat([0.0, 1.0], [900, 100]), np.repeat([0.0, 1.0], [600, 400])
    assert kl_divergence(reference, current) == pytest.approx(0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(4), rel=1e-9)
    assert kl_divergence(reference, reference) == 0


def test_wasserstein_is_scipys_in_robust_deviations():
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(4)
    reference, current = rng.normal(10, 3, 4_000), rng.normal(11, 4, 1_500)
    table = psi_table(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), ["x"])
    scale = robust_scale(np.sort(reference))
    assert scale == pytest.approx(3, rel=0.05)
    assert table["wasserstein"][0] == pytest.approx(wasserstein_distance(reference, current) / scale, rel=0.02)


def test_values_out_of_the_range_of_training():
    """Half a row in a hundred each: below, above, and far above; the range is 0 to 10."""
    reference = np.linspace(0, 10, 400)
    current = np.concatenate([np.linspace(0, 10, 394), [-1.0, 10.5, 39.9, 40.1, -30.1, np.inf]])
    table = psi_table(pd.DataFrame({"x": reference, "c": 1.0}), pd.DataFrame({"x": current, "c": 2.0}), ["x", "c"])
    assert table["outside"].tolist() == [pytest.approx(6 / 400), 1.0]
    assert table["implausible"].tolist() == [pytest.approx(3 / 400), 0.0]
    assert table["missing_share_cur"][0] == 0

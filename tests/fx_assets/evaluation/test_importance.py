"""Importance: shares by name, permutation against a model that is known, and how far two models agree."""

from typing import Any

import numpy as np
import pytest

from fx_assets.evaluation.importance import contribution_shares, named, permutation_shares, stability

NAMES = ["a", "b", "c"]


def test_shares_are_of_the_whole_and_sorted_even_where_some_are_cut_off():
    assert named({2: 6.0, 0: 3.0, 1: 1.0}, NAMES) == {"c": 0.6, "a": 0.3, "b": 0.1}
    assert named({2: 6.0, 0: 3.0, 1: 1.0}, NAMES, top=1) == {"c": 0.6}
    assert list(named({1: 1.0, 0: 1.0, 2: 1.0}, NAMES)) == NAMES
    assert named({0: 0.0, 1: -1.0}, NAMES) == {}


def test_a_column_without_a_name_is_refused():
    with pytest.raises(ValueError, match="importance of column 3, but there are 3 features"):
        named({3: 1.0}, NAMES)


def test_contributions_count_by_size_whatever_their_sign():
    values = np.array([[1.0, -3.0, 0.0], [-1.0, 3.0, 0.0]])
    assert contribution_shares(values, NAMES) == {"b": 0.75, "a": 0.25}


def test_permutation_finds_what_the_model_uses_and_nothing_else():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3000, 3)).astype(np.float32)

    def predict(rows: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-(2.0 * rows[:, 0] + 0.5 * rows[:, 2].astype(float))))

    y = (rng.random(3000) < predict(x)).astype(float)
    kept = x.copy()
    shares = permutation_shares(predict, x, y, None, NAMES)
    assert list(shares) == ["a", "c"]
    assert shares["a"] > 0.8
    assert shares == permutation_shares(predict, x, y, np.ones(3000), NAMES)
    np.testing.assert_array_equal(x, kept)


def test_equal_models_agree_and_strangers_do_not():
    shares = {name: 1.0 / (k + 2) for k, name in enumerate("abcdefgh")}
    same = stability(shares, shares, top=5)
    assert (same["overlap"], same["common"]) == (1.0, 8)
    assert same["spearman"] == pytest.approx(1.0)
    strange = stability(shares, {name.upper(): share for name, share in shares.items()}, top=5)
    assert (strange["overlap"], strange["common"]) == (0.0, 0)
    assert strange["spearman"] < 0


def test_rank_correlation_is_that_of_scipy_with_ties():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(4)
    before = {f"f{k}": float(v) for k, v in enumerate(np.round(np.sort(rng.random(9))[::-1], 1))}
    after = {f"f{k}": float(v) for k, v in enumerate(np.round(rng.random(9), 1))}
    expected: Any = spearmanr(list(before.values()), list(after.values()))
    assert stability(before, after)["spearman"] == pytest.approx(expected.statistic)


def test_nothing_to_compare_is_not_a_number():
    assert np.isnan(stability({}, {"a": 1.0})["overlap"])
    assert np.isnan(stability({"a": 1.0}, {})["spearman"])

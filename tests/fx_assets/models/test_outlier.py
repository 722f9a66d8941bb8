"""The outlier profile of a bundle: what it says of training rows, and of rows unlike them."""

import numpy as np
import pytest

from fx_assets.models.outlier import TERM_LIMIT, profile
from fx_serving.dataplane.outlier import Outlier


@pytest.fixture
def rows() -> np.ndarray:
    made = np.random.default_rng(3).normal(5, 2, size=(4000, 6)).astype(np.float32)
    made[:, 5] = 7.0  # a constant column
    return made


def test_center_and_scale_are_those_of_the_rows(rows):
    found = profile(rows)
    assert np.allclose(found["center"][:5], 5, atol=0.15)
    assert np.allclose(found["scale"][:5], 2, atol=0.15)
    assert (found["center"][5], found["scale"][5]) == (7.0, 1.0)
    assert len(found["quantiles"]) == 101
    assert found["quantiles"] == sorted(found["quantiles"])


def test_a_column_without_values_counts_as_at_the_center():
    rows = np.array([[np.nan, 1.0], [np.nan, 2.0], [np.nan, np.nan]], np.float32)
    found = profile(rows)
    assert (found["center"][0], found["scale"][0]) == (0.0, 1.0)
    assert np.isfinite(found["quantiles"]).all()


def test_one_wild_feature_is_bounded(rows):
    rows[0, 0] = 1e30
    assert profile(rows)["quantiles"][-1] <= TERM_LIMIT


def test_the_service_ranks_rows_by_it(rows):
    outlier = Outlier(**profile(rows))
    scores = np.array([outlier.score(row[None]) for row in rows[:500]])
    assert np.allclose(np.quantile(scores, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06)
    assert outlier.score(np.array([[5, 5, 5, 5, 5, 7]], np.float32)) < 0.01
    assert outlier.score(np.array([[5, 5, 5, 5, 5, 70]], np.float32)) == 1.0

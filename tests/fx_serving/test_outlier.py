"""How unlike the training rows an input is."""

import numpy as np
import pytest

from fx_serving.client.bundle import BundleError
from fx_serving.client.home import Stores
from fx_serving.dataplane.bundles import load_bundle
from fx_serving.dataplane.outlier import Outlier
from tests.servers.serving import make_bundle, outlier_profile


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.fixture
def profile() -> Outlier:
    return Outlier(**outlier_profile())


def test_the_score_is_a_share_that_rises_with_the_distance(profile):
    scores = [profile.score(row(x, x, x, x)) for x in (0, 0.5, 1, 1.5, 2, 50)]
    assert scores == sorted(scores)
    assert scores[0] == 0.0
    assert scores[-1] == 1.0


def test_training_rows_score_evenly(profile):
    rows = np.random.default_rng(9).normal(size=(4000, 4)).astype(np.float32)
    scores = np.array([profile.score(rows[i : i + 1]) for i in range(len(rows))])
    assert abs(scores.mean() - 0.5) < 0.03
    assert abs((scores < 0.9).mean() - 0.9) < 0.03


def test_one_wild_feature_counts_as_no_more_than_ten_scales(profile):
    assert profile.score(row(1e30, 0, 0, 0)) == profile.score(row(10, 0, 0, 0))


def test_equal_quantiles_do_not_divide_by_zero():
    profile = Outlier([0.0], [1.0], [0.0] * 50 + [1.0] * 51)
    assert 0.0 <= profile.score(row(0)) <= profile.score(row(1)) <= 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": [1.0, 0.0, 1.0, 1.0]}, "scale"),
        ({"quantiles": [1.0, 2.0]}, "quantiles"),
        ({"center": [0.0]}, "features"),
    ],
)
def test_a_bundle_with_an_unusable_profile_is_refused(tmp_path, change, words):
    stores = Stores(tmp_path)
    make_bundle(stores, "1", outlier={**outlier_profile(), **change})
    with pytest.raises(BundleError, match=words):
        load_bundle(stores.bundles, "move_60m", "1")


def test_a_bundle_without_a_profile_is_served_without_the_score(tmp_path):
    stores = Stores(tmp_path)
    make_bundle(stores, "1", outlier=None)
    assert load_bundle(stores.bundles, "move_60m", "1").outlier is None

"""A champion that sees other features than its challenger was trained on."""

import numpy as np
import pytest

from fx_assets.models.champion import with_its_features

SESSIONS = ("2021-03-01", "2021-03-03")


@pytest.fixture
def rows(history):
    """Decisions with one feature of their own, as a training set has them."""
    found = history.lake.table("gold/features", *SESSIONS, columns=["instrument", "available_at", "macd"])
    return found.rename(columns={"available_at": "decision_time"}).sample(frac=1, random_state=3, ignore_index=True)


def test_what_the_training_set_lacks_comes_from_gold(history, rows):
    found = with_its_features(history.lake, rows, ["macd", "rsi_14", "news_count_24h"])
    gold = history.lake.table("gold/features", *SESSIONS).rename(columns={"available_at": "decision_time"})
    expected = rows[["instrument", "decision_time"]].merge(gold, on=["instrument", "decision_time"])
    assert len(found) == len(rows) > 100
    for name in ("macd", "rsi_14", "news_count_24h"):
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy())


def test_a_feature_that_is_made_no_longer_is_missing(history, rows):
    found = with_its_features(history.lake, rows, ["macd", "moon_phase"])
    assert found["moon_phase"].isna().all()
    assert found["macd"].equals(rows["macd"])
    assert with_its_features(history.lake, rows, ["macd"]) is rows

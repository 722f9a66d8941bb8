"""Champion and challenger on the same rows."""

import numpy as np
import pandas as pd
import pytest

from fx_monitoring.quality.pairs import answered_pairs, compare, failures, shadow_pairs
from fx_monitoring.quality.rolling import serving_version
from tests.fx_monitoring.quality.answers import MODEL, answers, sessions


def shadows(frame: pd.DataFrame, tried: np.ndarray) -> pd.DataFrame:
    """Unseen scores of version 2 beside the served answers of version 1."""
    return frame.rename(columns={"prediction": "served_prediction", "version": "served_version"}).assign(
        prediction=tried, version="2", failed=None, service_us=np.arange(len(frame), dtype=float)
    )


def nudged(frame: pd.DataFrame, by: float, seed: int = 0) -> np.ndarray:
    """The answers with noise on their log odds."""
    p = frame["prediction"].to_numpy()
    odds = np.log(p / (1 - p)) + by * np.random.default_rng(seed).normal(size=len(p))
    return 1 / (1 + np.exp(-odds))


def test_a_worse_challenger_is_seen_and_the_other_way_round():
    frame = answers(sessions(20))
    pairs = shadow_pairs(shadows(frame, nudged(frame, 1.5)))
    found = compare(pairs, 60, 50)
    assert (found["n"], found["known"], found["verdict"]) == (len(frame), len(frame), "worse")
    assert found["differences"]["brier"]["low"] > 0 > found["differences"]["auc"]["high"]
    assert found["tried"]["brier"] - found["held"]["brier"] == pytest.approx(found["differences"]["brier"]["value"])
    turned = compare(pairs.rename(columns={"held": "tried", "tried": "held"}), 60, 50)
    assert turned["verdict"] == "better"
    assert turned["differences"]["brier"]["value"] == pytest.approx(-found["differences"]["brier"]["value"])


def test_the_same_answers_differ_by_nothing():
    frame = answers(sessions(20))
    found = compare(shadow_pairs(shadows(frame, frame["prediction"].to_numpy())), 60, 50)
    assert found["verdict"] == "inconclusive"
    assert found["differences"]["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["agree"], found["correlation"]) == (1.0, pytest.approx(1.0))


def test_pairing_tells_more_than_the_figures_themselves():
    """A small difference that the two intervals would hide is seen on the same rows."""
    frame = answers(sessions(20))
    found = compare(shadow_pairs(shadows(frame, nudged(frame, 0.5))), 60, 50)
    difference = found["differences"]["brier"]
    assert difference["high"] - difference["low"] < 0.02


def test_few_rows_and_no_outcome_are_inconclusive():
    frame = answers(sessions(1), symbols=("EUR_USD",))
    worse = shadows(frame, 1 - frame["prediction"].to_numpy())
    assert "24 effective rows" in compare(shadow_pairs(worse), 60, 50)["why"]
    unknown = compare(shadow_pairs(worse.assign(outcome=np.nan)), 60, 50)
    assert (unknown["known"], unknown["verdict"]) == (0, "inconclusive")
    assert unknown["agree"] is not None


def test_failed_scores_are_counted_and_not_compared():
    frame = shadows(answers(sessions(1)), np.full(72, 0.5))
    frame.loc[frame.index[:3], ["prediction", "failed"]] = [np.nan, "deadline"]
    assert len(shadow_pairs(frame)) == 69
    (told,) = failures(frame)
    assert (told["scores"], told["failed"], told["by_kind"]) == (72, 3, {"deadline": 3})
    assert told["p99_us"] == pytest.approx(frame["service_us"].quantile(0.99))


def test_versions_that_served_side_by_side_are_compared_where_both_answered():
    blue = answers(sessions(3))
    green = blue.iloc[::2].assign(version="2", prediction=0.5)
    both = pd.concat([blue, green], ignore_index=True)
    pairs = answered_pairs(both, {MODEL: serving_version(both)})
    assert len(pairs) == len(green)
    assert set(pairs["challenger"]) == {"2"}
    assert set(pairs["source"]) == {"answered"}
    assert answered_pairs(blue, {MODEL: "1"}).empty

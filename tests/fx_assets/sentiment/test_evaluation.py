"""Accuracy, F1, confusion and interval against scikit-learn and against their definitions."""

import numpy as np
import pytest
from sklearn import metrics

from fx_assets.sentiment import make_scorer
from fx_assets.sentiment.evaluation import accuracy_interval, evaluate, quality
from fx_assets.sentiment.labelled import Labelled


def test_figures_agree_with_scikit_learn():
    random = np.random.default_rng(5)
    labels = random.integers(-1, 2, 500)
    called = np.where(random.random(500) < 0.6, labels, random.integers(-1, 2, 500))
    found = quality(labels, called)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, called, labels=[-1, 0, 1])
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, called))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, called, average="macro"))
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, called, labels=[-1, 0, 1]))


def test_a_class_that_is_nowhere_does_not_lower_the_mean():
    assert quality([1, -1, 1], [1, -1, 1]).macro_f1 == 1.0
    assert quality([1, -1], [0, 0]).macro_f1 == 0.0


def test_the_interval_is_that_of_independent_texts():
    random = np.random.default_rng(1)
    right = random.random(1000) < 0.7
    alone = accuracy_interval([f"text {i}" for i in range(1000)], right)
    assert alone[0] < right.mean() < alone[1]
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 1000), rel=0.12)
    # Ten copies of each text say nothing new.
    copies = accuracy_interval([f"text {i}" for i in range(1000)] * 10, np.tile(right, 10))
    assert copies[1] - copies[0] == pytest.approx(alone[1] - alone[0], rel=0.12)
    assert accuracy_interval([f"text {i}" for i in range(1000)], right) == alone


def test_an_evaluation_holds_everything(plain_rows):
    found = evaluate(make_scorer(), plain_rows)
    assert found["n"] == 300
    assert found["accuracy"] > found["vader"]["accuracy"]
    assert found["scorer"] == "lexicon"
    assert found["version"] == make_scorer().version
    assert found["accuracy_interval_95"][0] <= found["accuracy"] <= found["accuracy_interval_95"][1]
    assert found["headlines_per_second"] > 1000
    assert set(found["classes"]) == {"negative", "neutral", "positive"}
    assert sum(map(sum, found["confusion"])) == 300
    assert found["base_rate"] == max(plain_rows.labels.count(c) for c in (-1, 0, 1)) / 300


def test_a_scorer_that_knows_nothing_is_told_so():
    data = Labelled("x", ["zzz qqq", "www vvv"], [1, -1])
    found = evaluate(make_scorer(), data)
    assert found["accuracy"] == 0
    assert found["classes"]["neutral"]["precision"] == 0


def test_the_speed_is_that_of_a_scorer_that_has_read_its_words(plain_rows):
    """A start that is slow once may not count, however few the texts."""
    import time

    class SlowStart:
        name = version = "slow"
        passes = 0

        def score(self, texts):
            return np.zeros(len(texts))

        def classify(self, texts, entities=None):
            self.passes += 1
            until = time.process_time() + (0.3 if self.passes == 1 else 0.01)
            while time.process_time() < until:
                pass
            return np.zeros(len(texts), dtype=np.int8)

    scorer = SlowStart()
    found = evaluate(scorer, Labelled("x", plain_rows.texts[:10], plain_rows.labels[:10]))
    assert scorer.passes > 15
    assert found["headlines_per_second"] == pytest.approx(1000, rel=0.3)

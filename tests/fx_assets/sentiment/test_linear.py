"""The trained model: it learns what is said of an entity, is judged on texts it has not seen, and its file is safe."""

import hashlib
import random

import numpy as np
import pytest

from fx_assets.errors import DataError
from fx_assets.sentiment.labelled import Labelled
from fx_assets.sentiment.linear import MAGIC, LinearScorer, load_linear
from fx_assets.sentiment.training import FOLDS, train


@pytest.fixture(scope="module")
def plain(plain_rows):
    return train(plain_rows)


@pytest.fixture(scope="module")
def about(entity_rows):
    return train(entity_rows)


def test_it_learns_and_reports(plain, plain_rows):
    _, report = plain
    assert report["cross_validation"]["accuracy"] > 0.95
    assert len(report["cross_validation"]["folds"]) == FOLDS
    assert report["rows"] == 300
    assert report["entities"] is False
    assert report["duplicates"] == 0
    assert sum(report["classes"].values()) == 300
    assert report["same_rows_accuracy"]["lexicon"] > report["same_rows_accuracy"]["vader"]
    assert sum(map(sum, report["cross_validation"]["pooled"]["confusion"])) == 300


def test_labels_of_an_entity_are_learnt_from_its_place(about, entity_rows):
    model, report = about
    found = report["cross_validation"]
    # Both entities of a headline share its words: only the place tells their labels apart.
    assert found["accuracy"] > 0.9
    assert found["accuracy"] > found["accuracy_without_entity"] + 0.2
    scorer = LinearScorer(model)
    text = "Altex soars; Gramar plunges"
    assert scorer.classify([text, text], ["Altex", "Gramar"]).tolist() == [1, -1]
    assert scorer.classify([text, text], ["ALTEX", "not mentioned"]).tolist()[0] == 1


def test_no_text_is_on_both_sides_of_a_split():
    """Labels drawn at random, each text ten times: who has seen a text knows its label, who has not can only guess."""
    chance = random.Random(3)
    pairs = [(f"report {i} {'x' * (i % 7)}", chance.choice((-1, 1))) for i in range(60)]
    rows = [(text.upper() if copy % 2 else text, label) for text, label in pairs for copy in range(10)]
    _, report = train(Labelled("random.csv", [text for text, _ in rows], [label for _, label in rows]))
    assert report["cross_validation"]["accuracy"] < 0.75
    assert report["duplicates"] == 540
    assert report["texts"] == 60


def test_the_same_file_gives_the_same_model_and_report(about, entity_rows):
    model, report = train(entity_rows)
    assert model.encoded == about[0].encoded
    assert report == about[1]


def test_a_loaded_model_scores_the_same_bits_in_any_batch(about, entity_rows, tmp_path):
    scorer = LinearScorer(about[0])
    about[0].save(tmp_path / "a.model")
    loaded = load_linear(tmp_path / "a.model")
    texts = [*entity_rows.texts[:200], "", "unseen words only", "5% up!"]
    whole = scorer.score(texts)
    np.testing.assert_array_equal(loaded.score(texts), whole)
    np.testing.assert_array_equal(np.concatenate([loaded.score([text]) for text in texts]), whole)
    np.testing.assert_array_equal(loaded.score(texts[::-1])[::-1], whole)
    assert loaded.version == scorer.version
    assert whole[200] == 0.0
    assert np.abs(whole).max() <= 1
    assert np.abs(whole).max() > 0.5
    assert loaded.score([]).shape == (0,)
    np.testing.assert_allclose(loaded.model.probabilities(texts).sum(axis=1), 1, atol=1e-12)


def test_the_file_is_held_against_its_hash(plain, tmp_path):
    path = tmp_path / "a.model"
    plain[0].save(path)
    raw = path.read_bytes()
    for spoilt in (raw[:-1], raw[:200] + bytes([raw[200] ^ 1]) + raw[201:]):
        path.write_bytes(spoilt)
        with pytest.raises(DataError, match=r"does not fit its SHA-256.*fx sentiment train"):
            load_linear(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataError, match="is no sentiment model"):
        load_linear(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_linear(tmp_path / "gone.model")


@pytest.mark.parametrize("body", [b"", b"\x80", b"\xc1nonsense", b"\x86" * 40])
def test_a_body_with_a_right_hash_and_wrong_content_is_refused(body, tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(MAGIC + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(DataError, match="no usable model"):
        load_linear(path)


def test_another_vocabulary_needs_another_training(plain, tmp_path, monkeypatch):
    from fx_assets.sentiment import linear
    from fx_assets.sentiment.lexicon import LexiconScorer

    plain[0].save(tmp_path / "a.model")
    monkeypatch.setattr(linear, "_lexicon", lambda: LexiconScorer(finance=False))
    with pytest.raises(DataError, match="was trained with lexicon-"):
        load_linear(tmp_path / "a.model")


def test_two_classes_are_enough_and_one_is_not(plain_rows):
    kept = [i for i, label in enumerate(plain_rows.labels) if label]
    two = Labelled("two.csv", [plain_rows.texts[i] for i in kept], [plain_rows.labels[i] for i in kept])
    model, report = train(two)
    assert report["cross_validation"]["accuracy"] > 0.95
    assert model.probabilities(two.texts)[:, 1].max() < 1e-9
    with pytest.raises(DataError, match=r"one\.csv: 60 labelled rows .* are too few"):
        train(Labelled("one.csv", two.texts[:60], [1] * 60))
    with pytest.raises(DataError, match="too few"):
        train(Labelled("few.csv", two.texts[:20], two.labels[:20]))
    with pytest.raises(DataError, match="fewer than 5 different texts"):
        train(Labelled("same.csv", ["a text"] * 60, [1, -1] * 30))


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        (
            [f"shares fall in week {i}" for i in range(80)] + ["a fine result"] * 6,
            [-1] * 80 + [1] * 6,
            "its 6 positive rows have 1 different texts, too few .* Give at least 5",
        ),
        (
            [f"report {i % 5}" for i in range(60)],
            [1 if i % 5 == 0 else -1 for i in range(60)],
            "its 48 negative rows have 4 different texts, too few",
        ),
    ],
)
def test_a_class_of_too_few_different_texts_is_told(texts, labels, told):
    with pytest.raises(DataError, match=rf"few\.csv: {told}"):
        train(Labelled("few.csv", texts, labels))


def test_no_fold_is_left_with_one_class():
    """Ordinary folds of one size put all texts of this rare class into one of them."""
    from sklearn.model_selection import GroupKFold

    texts = [f"report {i:03}" for i in range(100)]
    _, alike = next(iter(GroupKFold(FOLDS).split(texts, None, texts)))
    rare = set(alike[:FOLDS].tolist())
    labels = [1 if i in rare else -1 for i in range(100)]
    assert any(len({labels[i] for i in inside}) < 2 for inside, _ in GroupKFold(FOLDS).split(texts, None, texts))
    _, report = train(Labelled("rare.csv", texts, labels))
    assert len(report["cross_validation"]["folds"]) == FOLDS

"""The default scorer: what headlines mean to a market, the same bits in any company, and fast."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.sentiment import NEUTRAL_BAND, banded, make_scorer
from fx_assets.sentiment.lexicon import LexiconScorer, default_lexicon, plain_vader
from fx_assets.sentiment.vocabulary import inflected, load_vocabulary

GOOD = """Operating profit rose to EUR 13.1 mn from EUR 8.7 mn in the corresponding period
The company turned to a profit of EUR 0.4 mn from a loss of EUR 2 mn a year earlier
Operating profit was EUR 11.07 mn , compared to EUR 8.7 mn in 2008
Unemployment falls to lowest level in five years
Euro zone inflation eases to 2%
Loss narrows at Airbus
Company cuts costs and trims debt
Apple raises guidance after strong quarter
Tesla beats estimates as deliveries jump
Dollar extends gains against yen
Aussie pares losses as stocks rebound
Current account deficit narrows
Stocks up 2%
Gold rebounds from 3-month low
Powell sounds dovish, stocks rally
Unit costs fell by 6.4 percent
Default fears ease
Buy Acme with a target price of 210: analyst"""
BAD = """Operating profit totaled EUR 1.2 mn , down from EUR 4.5 mn
Net loss widened to EUR 5 mn from EUR 2 mn
Pretax loss totalled EUR 162.3 mn compared to a profit of EUR 253.5 mn
UK unemployment climbs to 5%
Jobless claims rise more than expected
Inflation accelerates to 8.5%, highest since 1982
Firm cuts full-year guidance
Netflix misses estimates
Sterling extends losses after BoE decision
Euro trims gains after weak PMI
GDP shrinks 0.3% in fourth quarter
Trade deficit widens to record
EUR/USD down 1.2% at 1.0950
Growth slows in China
Higher costs hurt profit
Profit did not rise as hoped
Euro fails to hold gains
Fed signals more aggressive tightening, markets tumble
Sell Acme with a stop loss of 210: analyst"""
PLAIN = """The annual general meeting will be held in Helsinki on March 24
The value of the contract was not disclosed
The share capital of the company amounts to EUR 10 mn divided into 5 mn shares
Fed leaves rates unchanged
ECB to hold meeting on Thursday
Nokia appoints new chief financial officer
USD/JPY steady near 150 ahead of CPI
Treasury sells bonds, gross issuance at 10 bn"""
CASES = [(text, label) for label, block in ((1, GOOD), (-1, BAD), (0, PLAIN)) for text in block.splitlines()]


@pytest.mark.parametrize(("text", "label"), CASES)
def test_directions_take_their_sign_from_what_moves(text, label):
    assert banded(default_lexicon().score([text]))[0] == label


def test_the_finance_layer_is_what_makes_the_difference():
    texts, labels = [text for text, _ in CASES], np.array([label for _, label in CASES])
    plain = (banded(plain_vader().score(texts)) == labels).mean()
    assert (banded(default_lexicon().score(texts)) == labels).mean() >= plain + 0.3


@pytest.fixture(scope="module")
def headlines() -> list[str]:
    from importlib.resources import files

    with files("fx_assets.sample").joinpath("news.parquet").open("rb") as file:
        return pd.read_parquet(file)["headline"].astype(str).head(4000).tolist()


def test_a_score_has_the_same_bits_in_any_batch_and_order(headlines):
    texts = [text for text, _ in CASES] + headlines[:500]
    whole = LexiconScorer().score(texts)
    other = LexiconScorer()
    np.testing.assert_array_equal(other.score(texts[::-1])[::-1], whole)
    np.testing.assert_array_equal(np.concatenate([other.score([text]) for text in texts]), whole)
    assert whole.dtype == np.float64
    assert np.abs(whole).max() < 1
    assert (whole != 0).mean() > 0.2


def test_many_threads_may_use_one_scorer(headlines):
    scorer, texts = LexiconScorer(), headlines[:400]
    expected = LexiconScorer().score(texts)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(scorer.score(texts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for scores in found:
        np.testing.assert_array_equal(scores, expected)


def test_nothing_to_score_is_zero():
    texts = ["", "   ", None, float("nan"), 5, "?", "!!!", "\u2014", "a\tb\n"]
    np.testing.assert_array_equal(make_scorer().score(texts), np.zeros(len(texts)))  # type: ignore[arg-type]
    assert make_scorer().score([]).shape == (0,)


def test_the_version_follows_the_content(monkeypatch):
    from fx_assets.sentiment import lexicon

    before = LexiconScorer().version
    assert before == LexiconScorer().version
    assert before.startswith("lexicon-")
    assert len({before, LexiconScorer(finance=False).version}) == 2
    vocabulary = load_vocabulary()
    monkeypatch.setattr(lexicon, "load_vocabulary", lambda: vocabulary.__class__(**{**vars(vocabulary), "digest": "x"}))
    assert LexiconScorer().version != before


def test_the_cache_of_words_is_bounded(monkeypatch):
    from fx_assets.sentiment import rules

    monkeypatch.setattr(rules, "MAX_WORDS", 50)
    scorer = LexiconScorer()
    expected = default_lexicon().score([f"profit rises {i}" for i in range(500)])
    np.testing.assert_array_equal(scorer.score([f"profit rises {i}" for i in range(500)]), expected)
    assert len(scorer._words) <= 50


@pytest.mark.parametrize(
    ("stem", "forms"),
    [
        ("surge", ["surge", "surges", "surged", "surging"]),
        ("rally", ["rally", "rallies", "rallied", "rallying"]),
        ("crash", ["crash", "crashes", "crashed", "crashing"]),
        ("slip", ["slip", "slips", "slipped", "slipping"]),
        ("soar", ["soar", "soars", "soared", "soaring"]),
    ],
)
def test_verbs_are_inflected(stem, forms):
    assert set(forms) <= set(inflected(stem))


def test_the_vocabulary_holds_words_and_reasonable_numbers():
    vocabulary = load_vocabulary()
    assert len(vocabulary.words) > 1500
    for word, (role, value, own) in vocabulary.words.items():
        assert isinstance(word, str)
        assert word == word.lower().strip()
        assert role in (1, 2, 3, 4)
        assert abs(value) <= 4
        assert abs(own) <= 4
    assert all(isinstance(first, str) for first in vocabulary.phrases)


def test_the_band_is_inclusive():
    assert banded(np.array([NEUTRAL_BAND, -NEUTRAL_BAND, 0.0501, -0.0501])).tolist() == [0, 0, 1, -1]


def test_no_word_stands_twice():
    import yaml

    import fx_assets.sentiment as package

    content = yaml.safe_load((Path(package.__file__).parent / "vocabulary.yaml").read_text())
    lists = [*content["words"].values(), *content["nouns"].values(), *content["faint_nouns"].values()]
    lists += content["telling_nouns"].values()
    lists += [listed for part in ("rise", "fall", "raise", "cut") for listed in content[part]["words"].values()]
    every = [word for listed in lists for word in listed]
    assert sorted({word for word in every if every.count(word) > 1}) == []
    phrases = [phrase for listed in content["phrases"].values() for phrase in listed]
    assert len(phrases) == len(set(phrases))

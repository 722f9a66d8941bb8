"""With the finance layer off the scorer is VADER: to 1e-4 of the compound that the original computes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.sentiment.lexicon import plain_vader
from fx_assets.sentiment.rules import vader_lists

SENTENCES = [
    "The plot was good, but the characters are uncompelling and the dialog is not great.",
    "VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!",
    "At least it isn't a horrible book.",
    "One of the least compelling variations on this theme",
    "Not such a badass after all, and never so good",
    "Without a doubt, an excellent idea.",
    "Only kind of good. Is it? Really??",
    "no loss, no gain nor any good profit",
    "Today SUX! :) :D",
    "bus stop on the way to die for",
    "good but good but good",
    "Sort of sad, just enough hope",
    "",
    "plain words of nothing",
]


@pytest.fixture(scope="module")
def original():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@pytest.mark.parametrize("text", SENTENCES)
def test_it_agrees_on_sentences_that_use_the_rules(original, text):
    expected = original.polarity_scores(text)["compound"] if text else 0.0
    assert plain_vader().score([text])[0] == pytest.approx(expected, abs=1e-4)


def words() -> st.SearchStrategy[str]:
    lists = vader_lists()
    known = st.sampled_from(sorted(word for word in lists.valence if word.isalpha()))
    rules = st.sampled_from(
        [*sorted(lists.boosters), *sorted(lists.negators), "but", "no", "least", "at", "very", "or", "so", "this"]
    )
    plain = st.sampled_from(["market", "rates", "the", "of", "5%", "EUR/USD", "yen,", "(bank)", "fell;", "kind", "of"])
    word = st.one_of(known, rules, plain)
    return st.one_of(word, word.map(str.upper), word.map(lambda w: w + "!"), word.map(lambda w: w + ","))


@given(st.lists(words(), min_size=1, max_size=14))
def test_it_agrees_on_any_mixture_of_words(original, given_words):
    text = " ".join(given_words)
    expected = original.polarity_scores(text)["compound"]
    assert plain_vader().score([text])[0] == pytest.approx(expected, abs=1e-4)

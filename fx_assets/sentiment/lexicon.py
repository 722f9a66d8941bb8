"""The default scorer: VADER's lexicon and rules with a finance and central-bank vocabulary; and VADER without it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from fx_assets.sentiment.base import NEUTRAL_BAND, RULES, banded, is_text
from fx_assets.sentiment.finance import meanings, quieten, read_word
from fx_assets.sentiment.rules import Lists, Word, Words, compound, mixed_capitals, modified, vader_lists, weigh_but
from fx_assets.sentiment.vocabulary import Vocabulary, load_vocabulary

# A sum of valences this small is no tone, but a stray word.
FAINT = 0.8


class LexiconScorer:
    """Scores by words and rules. finance=False: plain VADER, to 1e-4 of its compound (emoji apart)."""

    def __init__(self, finance: bool = True):
        self._lists: Lists = vader_lists()
        self._vocabulary: Vocabulary | None = load_vocabulary() if finance else None
        self.name = "lexicon" if finance else "vader"
        self.version = f"{self.name}-{_digest(self._lists, self._vocabulary)}"
        self._words = Words(
            partial(Word, lists=self._lists)
            if self._vocabulary is None
            else partial(read_word, lists=self._lists, vocabulary=self._vocabulary)
        )

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n,) in [-1, 1]; 0 for an empty or missing text. Each text is scored by itself."""
        one = self._plain if self._vocabulary is None else self._financial
        return np.array([one(text) if is_text(text) else 0.0 for text in texts], dtype=float)

    def classify(self, texts: Sequence[str], entities: Sequence[str] | None = None) -> np.ndarray:
        """int8 (n,): the class of the whole headline, whatever the entity."""
        return banded(self.score(texts), NEUTRAL_BAND)

    def _plain(self, text: str) -> float:
        words = [self._words[raw] for raw in text.split()]
        active = [i for i, word in enumerate(words) if word.tells]
        if not active:
            return 0.0
        capitals = mixed_capitals(words) if any(words[i].upper for i in active) else False
        capitals = capitals or (any(w.upper and w.boost for w in words) and mixed_capitals(words))
        values = [0.0] * len(words)
        for i in active:
            if words[i].lower == "kind" and i + 1 < len(words) and words[i + 1].lower == "of":
                continue
            values[i] = modified(words, i, words[i].valence, capitals, self._lists)
        weigh_but(words, values)
        return round(compound(float(sum(values)), text), 4)

    def _financial(self, text: str) -> float:
        words = [self._words[raw] for raw in text.split()]
        active = [i for i, word in enumerate(words) if word.tells]
        if not active and not _may_be_call(words):
            return 0.0
        assert self._vocabulary is not None
        values = [0.0] * len(words)
        for i, valence in meanings(words, active, self._vocabulary).items():
            values[i] = modified(words, i, valence, False, self._lists, clause=True) if valence else 0.0
        quieten(words, values, self._vocabulary.calm)
        weigh_but(words, values)
        total = sum(values)
        return compound(total, text) if abs(total) > FAINT else 0.0


def _may_be_call(words: Sequence[Word]) -> bool:
    return words[0].lower in ("buy", "sell", "short", "accumulate", "add", "exit")


def _digest(lists: Lists, vocabulary: Vocabulary | None) -> str:
    text = repr((RULES, FAINT, sorted(lists.valence.items()), sorted(lists.boosters.items()), sorted(lists.negators)))
    return hashlib.sha256(f"{text}{vocabulary.digest if vocabulary else ''}".encode()).hexdigest()[:12]


@cache
def default_lexicon() -> LexiconScorer:
    """The default scorer, with the words that it has read so far."""
    return LexiconScorer()


@cache
def plain_vader() -> LexiconScorer:
    """VADER as published, for comparison."""
    return LexiconScorer(finance=False)

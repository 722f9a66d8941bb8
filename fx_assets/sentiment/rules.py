"""VADER's valence rules over words that were read before: boosters, negation, capitals, `but`, punctuation.

Source: Hutto and Gilbert (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text".
The word lists come from the vaderSentiment package; emoji are not translated. What a word means is decided elsewhere.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

CAPITALS = 0.733
NEGATION = -0.74
NORMALISATION = 15.0
DISTANCE = (1.0, 0.95, 0.9)
# A cache of words is emptied at this size: a stream of numbers must not fill the memory.
MAX_WORDS = 200_000
# Their full stop ends no sentence.
ABBREVIATED = frozenset(("vs", "inc", "corp", "ltd", "co", "approx", "ca", "rs", "no", "mln", "mn", "bn"))


class Lists(NamedTuple):
    """VADER's own words: valences, booster increments, negators, idioms with a valence of their own."""

    valence: dict[str, float]
    boosters: dict[str, float]
    negators: frozenset[str]
    idioms: dict[str, float]
    idiom_words: frozenset[str]


class Word:
    """One token as read: its lower-case form and what the rules need to know of it."""

    __slots__ = (
        "boost",
        "breaks",
        "direction",
        "ends",
        "figure",
        "heads",
        "idiom",
        "known",
        "lower",
        "measure",
        "negates",
        "number",
        "polarity",
        "role",
        "tells",
        "upper",
        "valence",
    )

    def __init__(self, raw: str, lists: Lists):
        stripped = raw.strip(string.punctuation)
        text = raw if len(stripped) <= 2 else stripped
        self.lower: str = text.lower()
        self.upper: bool = text.isupper()
        self.valence: float = lists.valence.get(self.lower, 0.0)
        self.known: bool = self.lower in lists.valence
        self.boost: float = lists.boosters.get(self.lower, 0.0)
        self.negates: bool = self.lower in lists.negators or "n't" in self.lower
        self.idiom: bool = self.lower in lists.idiom_words
        self.tells: bool = self.known and not self.boost
        # For the finance layer.
        self.role: int = 0
        self.direction: float = 0.0
        self.polarity: float = 0.0
        self.heads: tuple[Any, ...] = ()
        self.breaks: bool = raw[-1] in ",;:?!."
        self.ends: bool = raw[-1] in ";?!." and len(stripped) > 1 and text.lower() not in ABBREVIATED
        self.number: float | None = None
        self.figure: Any = None
        self.measure: int = 0


class Words(dict[str, Word]):
    """Raw token -> Word, read at the first sight of each."""

    def __init__(self, read: Callable[[str], Word]):
        super().__init__()
        self._read = read

    def __missing__(self, raw: str) -> Word:
        if len(self) >= MAX_WORDS:
            self.clear()
        word = self[raw] = self._read(raw)
        return word


@lru_cache(maxsize=1)
def vader_lists() -> Lists:
    """The lists of the installed vaderSentiment package."""
    from vaderSentiment import vaderSentiment as vader

    idioms = {text: float(value) for text, value in vader.SPECIAL_CASES.items()}
    phrases = [text for text in (*idioms, *vader.BOOSTER_DICT) if " " in text or text in idioms]
    return Lists(
        vader.SentimentIntensityAnalyzer().lexicon,
        vader.BOOSTER_DICT,
        frozenset(vader.NEGATE),
        idioms,
        frozenset(part for text in phrases for part in text.split()),
    )


def mixed_capitals(words: Sequence[Word]) -> bool:
    """Whether some words but not all are in capitals; only then do capitals stress anything."""
    count = sum(word.upper for word in words)
    return 0 < count < len(words)


def modified(
    words: Sequence[Word], i: int, valence: float, capitals: bool, lists: Lists, clause: bool = False
) -> float:
    """The valence of word i after its neighbours. clause: what stands before a comma or colon does not count."""
    own = valence
    word = words[i]
    if word.lower == "no" and i + 1 < len(words) and words[i + 1].known:
        valence = 0.0
    if i > 0 and (
        words[i - 1].lower == "no"
        or (i > 1 and words[i - 2].lower == "no")
        or (i > 2 and words[i - 3].lower == "no" and words[i - 1].lower in ("or", "nor"))
    ):
        valence = own * NEGATION
    if capitals and word.upper:
        valence += CAPITALS if valence > 0 else -CAPITALS
    for back in range(1, min(i, 3) + 1):
        before = words[i - back]
        if clause and before.breaks:
            break
        if before.known and not (clause and before.negates):
            continue
        if before.boost:
            step = -before.boost if valence < 0 else before.boost
            if capitals and before.upper:
                step += CAPITALS if valence > 0 else -CAPITALS
            valence += step * DISTANCE[back - 1]
        valence *= _negation(words, i, back)
        if back == 3:
            valence = _idioms(words, i, valence, lists)
    if i > 0 and words[i - 1].lower == "least" and (i == 1 or words[i - 2].lower not in ("at", "very")):
        valence *= NEGATION
    return valence


def _negation(words: Sequence[Word], i: int, back: int) -> float:
    """The factor of a negation `back` words before word i. `never so` strengthens, `without doubt` leaves alone."""
    before = words[i - back]
    if back == 1:
        return NEGATION if before.negates else 1.0
    between = [words[j].lower for j in range(i - back + 1, i)]
    if back == 2:
        if before.lower == "never" and between[0] in ("so", "this"):
            return 1.25
    elif between[1] in ("so", "this") or (before.lower == "never" and between[0] in ("so", "this")):
        return 1.25
    if before.lower == "without" and "doubt" in between:
        return 1.0
    return NEGATION if before.negates else 1.0


def _idioms(words: Sequence[Word], i: int, valence: float, lists: Lists) -> float:
    """Idioms that contain or precede word i, from three words before it to two after."""
    near = words[i - 3 : i + 3]
    if not any(word.idiom for word in near):
        return valence
    text = [word.lower for word in near]
    three, two, one, zero = text[:4]
    before = (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}")
    for phrase in (f"{one} {zero}", f"{two} {one} {zero}", before[2], before[0], before[1]):
        if phrase in lists.idioms:
            valence = lists.idioms[phrase]
            break
    for length in (2, 3):
        if len(text) >= 3 + length:
            valence = lists.idioms.get(" ".join(text[3 : 3 + length]), valence)
    return valence + sum(lists.boosters.get(phrase, 0.0) for phrase in before)


def weigh_but(words: Sequence[Word], values: list[float]) -> None:
    """Halve what stands before the first `but`, and count what follows half as much again; in place.

    A value met again is taken for its first place, as in the original.
    """
    pivot = next((i for i, word in enumerate(words) if word.lower == "but"), None)
    if pivot is None:
        return
    for i in range(len(values)):
        place = values.index(values[i])
        if place < pivot:
            values[place] *= 0.5
        elif place > pivot:
            values[place] *= 1.5


def emphasis(text: str) -> float:
    """What exclamation and question marks add to the sum of valences."""
    marks = text.count("?")
    asked = 0.0 if marks < 2 else 0.18 * marks if marks <= 3 else 0.96
    return 0.292 * min(text.count("!"), 4) + asked


def compound(total: float, text: str) -> float:
    """A sum of valences, with the punctuation's emphasis, in (-1, 1)."""
    if total == 0.0:
        return 0.0
    added = emphasis(text) if "!" in text or "?" in text else 0.0
    total += added if total > 0 else -added
    return total / math.sqrt(total * total + NORMALISATION)

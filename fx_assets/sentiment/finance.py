"""The finance layer of the lexicon: what a word of a headline means there. Directions take their sign from what rises
or falls, set phrases count as one word, and a loss of the time before is no bad news. Reads words, scores nothing.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from fx_assets.sentiment.comparison import comparisons, measure_of, read_figure
from fx_assets.sentiment.rules import Lists, Word
from fx_assets.sentiment.vocabulary import FOLLOWS, NOUN, PLAIN, TAKES, Vocabulary

# No noun is looked for beyond these.
_STOPS = "on as after amid while but despite to by with due because ahead following since than from when if"
STOPS = frozenset(_STOPS.split())
EXTREMES = frozenset(("high", "highs", "highest", "low", "lows", "lowest"))
OF = frozenset(("in", "of", "its", "the", "their", "for"))
AHEAD, BEHIND, OBJECT = 2, 6, 5
# A direction whose noun is not known: what rises is taken to be worth something.
UNKNOWN_OBJECT = 0.5
WORSE_LOSS = -2.0
EARLIER_LOSS = -0.5
COMPARED = 1.5
CALM = 0.4
# With the quotes, dashes and dots that typesetting puts for the plain ones.
APOSTROPHE = "\u2019"
PUNCTUATION = string.punctuation + "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"
_NUMBER = re.compile(r"^([+-]?)[^\d\w]{0,2}(\d[\d,]*(?:\.\d+)?)(%|pc|bps)?$")
_YEAR = re.compile(r"^(19|20)\d\d$")


def read_word(raw: str, lists: Lists, vocabulary: Vocabulary) -> Word:
    """One token, with the vocabulary's meaning where it has one and VADER's otherwise."""
    word = Word(raw, lists)
    lower = raw.lower().replace(APOSTROPHE, "'").strip(PUNCTUATION)
    lower = lower[:-2] if lower.endswith("'s") else lower
    if len(lower) > 1:
        word.lower = lower
    if (entry := vocabulary.words.get(word.lower)) is not None:
        word.role, value, word.valence = entry
        word.direction = value if word.role in (FOLLOWS, TAKES) else 0.0
        word.polarity = value if word.role == NOUN else 0.0
        word.valence = value if word.role == PLAIN else word.valence
        word.known = word.valence != 0.0 or word.direction != 0.0
    elif (found := _NUMBER.match(raw.strip("()[],;:'\""))) is not None:
        sign, digits, unit = found.groups()
        # Neither a year nor a percentage is an amount.
        word.number = None if unit or _YEAR.match(digits) else float(digits.replace(",", ""))
        if sign and unit == "%":
            word.role, word.valence, word.known = PLAIN, 1.3 if sign == "+" else -1.3, True
    else:
        word.valence = next((v for ending, v in vocabulary.suffixes if lower.endswith(ending)), word.valence)
        word.role = PLAIN if word.valence else 0
        word.known = word.valence != 0.0
    word.figure = read_figure(raw)
    word.measure = measure_of(word, vocabulary)
    word.negates = word.negates or word.lower in vocabulary.negators
    word.heads = vocabulary.phrases.get(word.lower, ())
    word.tells = bool(word.heads or word.known or word.lower in vocabulary.comparators) and not word.boost
    return word


def meanings(words: Sequence[Word], active: Sequence[int], vocabulary: Vocabulary) -> dict[int, float]:
    """Valence by position, before negation and boosters. active: the positions of words that tell something."""
    tones: dict[int, float] = {}
    taken: set[int] = set()
    for i in active:
        if words[i].heads and i not in taken:
            _phrase(words, i, tones, taken)
    for i in active:
        if words[i].direction and i not in taken:
            taken.add(i)
            tones[i] = _direction(words, i, taken)
    compared = next((i for i in active if words[i].lower in vocabulary.comparators), None)
    for i in active:
        if i in taken:
            continue
        word = words[i]
        if word.role == NOUN and compared is not None and compared < i <= compared + 5:
            tones[i] = word.valence * EARLIER_LOSS
        elif word.valence:
            tones[i] = word.valence
    if compared is not None:
        for sign, at, spent in comparisons(words, active, vocabulary):
            tones |= {i: 0.0 for i in spent}
            tones[at] = COMPARED * sign
    first = words[0].lower
    if first in vocabulary.calls and 0 not in tones and _is_call(words):
        tones[0] = vocabulary.calls[first]
    return tones


def quieten(words: Sequence[Word], values: list[float], calm: frozenset[str]) -> None:
    """Lessen the tones of each clause that says that nothing moved; in place."""
    for i, word in enumerate(words):
        if word.lower in calm:
            first = next((j for j in range(i, 0, -1) if words[j - 1].breaks), 0)
            last = next((j for j in range(i, len(words)) if words[j].breaks), len(words) - 1)
            for j in range(first, last + 1):
                values[j] *= CALM


def _phrase(words: Sequence[Word], i: int, tones: dict[int, float], taken: set[int]) -> None:
    for rest, valence in words[i].heads:
        if len(rest) < len(words) - i and all(words[i + 1 + k].lower == part for k, part in enumerate(rest)):
            tones[i] = -UNKNOWN_OBJECT * valence if _comes_from(words, i) else valence
            taken.update(range(i, i + 1 + len(rest)))
            return


def _direction(words: Sequence[Word], i: int, taken: set[int]) -> float:
    """The tone of a word of direction: its own sign, times that of what it moves."""
    strength = words[i].direction
    if words[i].role == TAKES:
        at = _object(words, i, taken)
        if at is not None and words[at].direction:
            taken.add(at)
            return abs(strength) * (1.0 if strength * words[at].direction > 0 else -1.0)
        if at is not None and words[at].number is not None:
            return strength * UNKNOWN_OBJECT
        at = _behind(words, i, taken) if at is None else at
        return strength * UNKNOWN_OBJECT if at is None else _moved(words, i, at, taken)
    at = _ahead(words, i, taken)
    if at is None and words[i].lower in EXTREMES:
        if _comes_from(words, i):
            return -UNKNOWN_OBJECT * strength
        if any(word.direction for word in words[:i]):
            return 0.0  # falls to the lowest since: said already
    at = _behind(words, i, taken) if at is None else at
    return strength if at is None else _moved(words, i, at, taken)


def _moved(words: Sequence[Word], i: int, at: int, taken: set[int]) -> float:
    tone = words[i].direction * words[at].polarity
    if not words[at].valence:
        return tone
    taken.add(at)
    if words[at].polarity < 0:
        if at and words[at - 1].role == PLAIN and not words[at - 1].breaks:
            taken.add(at - 1)  # default fears ease: nothing defaulted
        return min(tone, WORSE_LOSS) if tone < 0 else tone
    return tone


def _comes_from(words: Sequence[Word], i: int) -> bool:
    """Whether a level is the one that was left: rebounds from a three-month low."""
    return any(word.lower == "from" for word in words[max(i - 3, 0) : i])


def _object(words: Sequence[Word], i: int, taken: set[int]) -> int | None:
    """What a transitive word takes: the next noun, word of direction or number of its clause."""
    for j in range(i + 1, min(i + 1 + OBJECT, len(words))):
        word = words[j]
        if words[j - 1].breaks or word.lower in STOPS or j in taken:
            return None
        if word.number is not None:  # 30 jobs are jobs, 30 mn are money
            near = range(j + 1, min(j + 3, len(words)))
            return next((k for k in near if words[k].role == NOUN and words[k].polarity), j)
        if word.role == NOUN or word.direction:
            return j
    return None


def _ahead(words: Sequence[Word], i: int, taken: set[int]) -> int | None:
    """The noun that follows: higher costs, a rise in unemployment."""
    reach = AHEAD
    j = i + 1
    while j < len(words) and j <= i + reach:
        word = words[j]
        if words[j - 1].breaks or word.lower in STOPS or j in taken:
            return None
        if word.role == NOUN and word.polarity:
            return j
        if word.lower in OF:
            reach = AHEAD + 3
        j += 1
    return None


def _behind(words: Sequence[Word], i: int, taken: set[int]) -> int | None:
    """The noun that stands before: unemployment falls."""
    for j in range(i - 1, max(i - 1 - BEHIND, -1), -1):
        word = words[j]
        if word.breaks or word.lower in STOPS:
            return None
        if word.role == NOUN and word.polarity and j not in taken:
            return j
    return None


def _is_call(words: Sequence[Word]) -> bool:
    """Whether a headline that begins with buy or sell is an analyst's call and not a report of a purchase."""
    return any(w.lower in ("target", "targets", "stop", "stoploss", "dips") for w in words) or any(
        w.breaks for w in words[1:-1]
    )

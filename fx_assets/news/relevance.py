"""How much each headline is about each entity: one pass over its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import permutations, product

import numpy as np

from fx_assets.news.entities import (
    COMPANY,
    CURRENCIES,
    ENTITIES,
    NOT_MEANT,
    OTHER_CONTEXT,
    PEOPLE,
    PHRASES,
    SYMBOLS,
)

COLUMNS: tuple[str, ...] = tuple(f"relevance_{entity}" for entity in ENTITIES)
# Codes that are English words: in a headline all in capitals they say nothing.
ENGLISH = frozenset({"US", "TRY", "CAD", "NOK", "EU", "ISM", "NAB"})
_WORD = re.compile(r"[^\W_]+")
# Alone, and not of an amount: neither $5, 5 $, 500€ nor A$, $TSLA.
_SYMBOL = re.compile(r"(?<![\w$€£¥])(?<!\d\s)[$€£¥](?![\w$€£¥])(?!\s?[.,]?\d)")
# (words in all, the words after the first, which words must be written how, (entity, weight)s)
_Phrase = tuple[int, list[str], list[tuple[int, str]], list[tuple[int, float]]]


def words(headline: str) -> list[str]:
    """A headline's words: letters and digits of any script, as they are written."""
    return _WORD.findall(headline)


def relevance(headlines: Iterable[str]) -> np.ndarray:
    """How much each headline is about each of ENTITIES, float64 (n, len(ENTITIES)) in [0, 1].

    A headline's figure for an entity is the largest weight of the phrases found. A word belongs to one phrase at most:
    reading from the left, the longest that starts at it. See entities.py for the phrases and how they are matched.
    """
    phrases = _phrases()
    texts = list(headlines)
    out = np.zeros((len(texts), len(ENTITIES)))
    for row, text in enumerate(texts):
        if "$" in text or not text.isascii():
            text = _SYMBOL.sub(_code, text)
        written = _WORD.findall(text)
        lower = _WORD.findall(text.lower()) if text.isascii() else [word.lower() for word in written]
        skip = 0
        for at, word in enumerate(lower):
            if at < skip or word not in phrases:
                continue
            found = _match(phrases[word], written, lower, at)
            if found is None or (found[0] == 1 and written[at] in ENGLISH and len(written) > 2 and text.isupper()):
                continue
            if found[0] == 1 and word in OTHER_CONTEXT and not OTHER_CONTEXT[word].isdisjoint(lower):
                continue
            skip = at + found[0]
            for entity, weight in found[3]:
                out[row, entity] = max(out[row, entity], weight)
    return out


def _code(symbol: re.Match[str]) -> str:
    return f" {SYMBOLS[symbol[0]]} "


def _match(candidates: list[_Phrase], written: list[str], lower: list[str], at: int) -> _Phrase | None:
    """The first of the candidates whose words stand from `at` on."""
    for phrase in candidates:
        size, rest, exact, _ = phrase
        if (size == 1 or lower[at + 1 : at + size] == rest) and all(written[at + k] == word for k, word in exact):
            return phrase
    return None


@lru_cache(maxsize=1)
def _phrases() -> dict[str, list[_Phrase]]:
    """All phrases by their first word in lower case, the longest first."""
    weights: dict[str, dict[int, float]] = {phrase: {} for phrase in _split(NOT_MEANT)}
    for person, company in product(_split(PEOPLE), _split(COMPANY)):
        weights[f"{person} {company}"] = {}
    for base, quote in permutations(CURRENCIES, 2):
        for phrase in (f"{base}{quote}", f"{base} {quote}"):
            weights[phrase] = {ENTITIES.index(base): 1.0}
    for entity, lines in PHRASES.items():
        for weight, line in lines:
            for phrase in _split(line):
                own = weights.setdefault(phrase, {})
                own[ENTITIES.index(entity)] = max(weight, own.get(ENTITIES.index(entity), 0.0))
    found: dict[str, list[_Phrase]] = {}
    # Headlines lose their apostrophes: ECBs Lagarde.
    weights |= {f"{phrase}s": own for phrase, own in weights.items() if phrase.isalpha() and phrase != phrase.lower()}
    for phrase, own in weights.items():
        parts = phrase.split()
        lower = [part.lower() for part in parts]
        exact = [(k, part) for k, part in enumerate(parts) if part != lower[k]]
        found.setdefault(lower[0], []).append((len(parts), lower[1:], exact, sorted(own.items())))
    for candidates in found.values():
        # Of equally long ones the more exactly written goes first.
        candidates.sort(key=lambda phrase: (-phrase[0], -len(phrase[2])))
    return found


def _split(line: str) -> list[str]:
    return [phrase.strip() for phrase in line.split("|")]

"""What the linear model sees of a text: names of features, as words, word pairs, positions around an entity, parts of
words and the lexicon's opinion. Strings only; counting and weights are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

# Stands for the entity that the label is about. No token of a text can look like it.
ENTITY = "<entity>"
BLOCKS = ("words", "parts", "lexicon")
# Rises with every change of the features that a text gives: models trained before are refused.
FEATURES = 1
_TOKEN = re.compile(r"<entity>|[^\W\d_]+(?:'[a-z]+)?|[+-]?\d[\d,]*(?:\.\d+)?%?|[%:;,?!&]")
_CLAUSE = re.compile(r"[,;:]| but | as | while | amid | after | despite | on | and | vs ", re.IGNORECASE)
_SHORTEST, _LONGEST = 2, 5
_NEAR = 4
_FAR = 8
# Edges of the lexicon's score: each bucket is a feature.
_EDGES = (-0.5, -0.2, -0.05, 0.05, 0.2, 0.5)


def split_at(text: str, entity: str | None) -> tuple[str, str] | None:
    """What stands before and after the entity's first mention, whatever its case; None where it is not mentioned."""
    if not entity or (at := text.lower().find(entity.lower())) < 0:
        return None
    return text[:at], text[at + len(entity) :]


def tokens(text: str) -> list[str]:
    """Lower-case words and marks. Numbers are alike, but percentages and signs are told apart."""
    return [_plain(token) for token in _TOKEN.findall(text.lower())]


def features(text: str, entity: str | None, opinion: Callable[[str], float]) -> tuple[list[str], list[str], list[str]]:
    """Feature names of one text by block, as often as they occur. opinion: a text's score by the lexicon.

    With an entity that the text mentions, its place and its clause are marked: labels are about it.
    """
    parts = split_at(text, entity)
    lexicon = [f"t{_bucket(opinion(text))}"]
    if parts is None:
        words = tokens(text)
        return _grams(words), _pieces(text, ""), lexicon
    before, after = parts
    ahead = _CLAUSE.split(before)[-1]
    behind = _CLAUSE.split(after)[0]
    marked = f"{before} {ENTITY} {after}"
    left, right = tokens(before), tokens(after)
    clause = [*tokens(ahead), ENTITY, *tokens(behind)]
    named = _grams(tokens(marked))
    named += [f"l:{word}" for word in left] + [f"r:{word}" for word in right]
    named += [f"l:{a} {b}" for a, b in pairwise(left)]
    named += [f"r:{a} {b}" for a, b in pairwise(right)]
    named += [f"l{i}:{word}" for i, word in enumerate(reversed(left[-_NEAR:]))]
    named += [f"r{i}:{word}" for i, word in enumerate(right[:_NEAR])]
    named += [f"c:{word}" for word in clause] + [f"c:{a} {b}" for a, b in pairwise(clause)]
    named.append(f"at:{min(len(left), _FAR)}")
    lexicon += [f"c{_bucket(opinion(f'{ahead} {behind}'))}", f"r{_bucket(opinion(after))}"]
    return named, _pieces(marked, "") + _pieces(f"{ahead} {behind}", "c:"), lexicon


def _plain(token: str) -> str:
    if not token[-1].isdigit() and token[-1] != "%":
        return token
    sign = token[0] if token[0] in "+-" else ""
    return f"{sign}<percent>" if token[-1] == "%" and len(token) > 1 else "%" if token == "%" else f"{sign}<number>"


def _grams(words: list[str]) -> list[str]:
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    return words + pairs + [f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]


def _pieces(text: str, prefix: str) -> list[str]:
    """Runs of 2 to 5 characters within words, their edges marked by blanks."""
    found: list[str] = []
    for word in text.lower().split():
        if word == ENTITY:
            continue
        padded = f" {word} "
        for length in range(_SHORTEST, _LONGEST + 1):
            found += [prefix + padded[i : i + length] for i in range(len(padded) - length + 1)]
    return found


def _bucket(score: float) -> int:
    return sum(score > edge for edge in _EDGES)

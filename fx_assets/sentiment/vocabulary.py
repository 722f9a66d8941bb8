"""The finance and central-bank vocabulary, read from vocabulary.yaml into look-up tables. No rules here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

FILE = "vocabulary.yaml"
VOWELS = "aeiou"
# Roles of a word.
PLAIN, FOLLOWS, TAKES, NOUN = 1, 2, 3, 4


@dataclass(frozen=True)
class Vocabulary:
    """words: lower-case word -> (role, value, own valence); value is a valence (PLAIN), a direction with its strength
    (FOLLOWS: rises, falls; TAKES: raises, cuts) or a noun's polarity. phrases: first word -> ((rest, valence), ...),
    the longest first. digest: SHA-256 of the file.
    """

    words: dict[str, tuple[int, float, float]]
    phrases: dict[str, tuple[tuple[tuple[str, ...], float], ...]]
    calls: dict[str, float]
    comparators: frozenset[str]
    calm: frozenset[str]
    negators: frozenset[str]
    suffixes: tuple[tuple[str, float], ...]
    measures: frozenset[str]
    digest: str


def inflected(stem: str) -> list[str]:
    """surge -> surge, surges, surged, surging. Regular verbs only."""
    if stem.endswith("e"):
        return [stem, f"{stem}s", f"{stem}d", f"{stem[:-1]}ing"]
    if stem.endswith("y") and stem[-2] not in VOWELS:
        return [stem, f"{stem[:-1]}ies", f"{stem[:-1]}ied", f"{stem}ing"]
    if stem.endswith(("s", "x", "z", "ch", "sh")):
        return [stem, f"{stem}es", f"{stem}ed", f"{stem}ing"]
    doubled = stem + stem[-1]
    short = stem[-1] not in f"{VOWELS}wxy" and stem[-2] in VOWELS and stem[-3] not in VOWELS and len(stem) <= 4
    forms = [stem, f"{stem}s", f"{stem}ed", f"{stem}ing"]
    return [*forms, f"{doubled}ed", f"{doubled}ing"] if short else forms


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """The vocabulary that ships with the package."""
    import yaml

    raw = files("fx_assets.sentiment").joinpath(FILE).read_bytes()
    content = yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return _tables(content, hashlib.sha256(raw).hexdigest())


def _tables(content: dict[str, Any], digest: str) -> Vocabulary:
    words: dict[str, tuple[int, float, float]] = {}
    directions = (("rise", FOLLOWS), ("fall", FOLLOWS), ("raise", TAKES), ("cut", TAKES))
    # Verbs first: a word given by itself outranks a verb's form.
    for section, role in (("", PLAIN), *directions):
        for value, stems in (content[section]["verbs"] if section else content["verbs"]).items():
            words |= {form: (role, float(value), 0.0) for stem in stems for form in inflected(stem)}
    for section, role in (("", PLAIN), *directions):
        for value, listed in (content[section]["words"] if section else content["words"]).items():
            words |= {word: (role, float(value), 0.0) for word in listed}
    for polarity, listed in (*content["nouns"].items(), *content["faint_nouns"].items()):
        words |= {word: (NOUN, float(polarity), 0.0) for word in listed}
    for valence, listed in content["telling_nouns"].items():
        words |= {word: (NOUN, 1.0 if float(valence) > 0 else -1.0, float(valence)) for word in listed}
    phrases: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for valence, listed in content["phrases"].items():
        for text in listed:
            first, *rest = text.split()
            phrases.setdefault(first, []).append((tuple(rest), float(valence)))
    return Vocabulary(
        words,
        {first: tuple(sorted(found, key=lambda f: -len(f[0]))) for first, found in phrases.items()},
        {word: float(valence) for valence, listed in content["calls"].items() for word in listed},
        frozenset(content["comparators"]),
        frozenset(content["calm"]),
        frozenset(content["negators"]),
        tuple((ending, float(valence)) for valence, listed in content["suffixes"].items() for ending in listed),
        frozenset(content["measures"]),
        digest,
    )

"""Headlines that say what another one has just said: how novel each is, and which it repeats.

A headline is compared with all that were known in the WINDOW_HOURS before it, repeated ones included, and with nothing
else. So its figures depend on that window alone: what comes later changes nothing, nor does where a computation starts.
Consequence: a headline that is repeated every day counts once as long as it keeps coming back within a day.
"""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pandas as pd

from fx_assets.features.blocks import time_us
from fx_assets.news.relevance import words

WINDOW_HOURS = 24
# Share of words and pairs of neighbouring words in common (Jaccard) from which two headlines are the same news.
SAME = 0.7
# What makes one headline another one: numbers, and words that say which way, count this many times; so do the pairs in
# which such a word stands, for they tell what it is said of. "Dollar rises as yen falls after Fed minutes" is neither
# "Dollar falls as yen rises after Fed minutes" nor "Yen rises as dollar falls after Fed minutes".
HEAVY = 4
# Verbs by their stem: with the endings s, es, ed, d and ing, and where it doubles its last letter (cut, cutting).
_STEMS = """
    accelerat advanc appreciat beat bolster boost buy ceas climb contract cool curb cut decelerat declin decreas
    depreciat deteriorat dip downgrad drop eas edg expand extend fade fail fall firm flatten gain halt harden hike hold
    improv increas jump keep lag loosen los miss moderat narrow outperform paus plummet plung pull rais rall rebound
    recover reject reduc retreat revers ris sell shrink sink skid skip slash slid slip slow slump soar soften spik stall
    start steepen stop strengthen stumbl surg tighten topple trim tumbl underperform upgrad weaken widen win worsen
"""
_OTHERS = """
    up down rose risen fell fallen lost loss losses rally rallies rallied sank sunk slid shrank shrunk held kept bought
    sold won dipped dropped trimmed stopped slipped advance accelerate decelerate appreciate depreciate cease decline
    decrease deteriorate downgrade ease improve increase lose moderate pause plunge raise reduce reverse rise slide
    spike stumble surge topple tumble upgrade fade higher lower high low highs lows better worse best worst more less
    firmer softer stronger weaker tighter looser easier faster slower cooler hotter wider narrower dearer cheaper strong
    weak tight loose soft hard hawkish dovish hawks doves bulls bears bullish bearish optimism pessimism above below
    over under before after no not never without yes ends begins resumes win wins loses bull bear
"""
_ENDINGS = ("", "s", "es", "e", "ed", "d", "ing")
WAYS = frozenset([stem + ending for stem in _STEMS.split() for ending in _ENDINGS] + _OTHERS.split())


def repeats(news: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Novelty and the headline it repeats, for each row of news: available_at (with time zone), headline, any order.

    novelty: float64 (n,) in [0, 1], 1 less the largest similarity to a headline known up to WINDOW_HOURS before, the
        same moment included; of rows of the same moment the one that is first by text counts as the earlier.
    repeated: object (n,), the most similar of those headlines where the similarity is SAME or more (of equally similar
        ones the earliest), else "".
    """
    from fx_assets.news.duplicate_kernels import most_similar

    times = time_us(news["available_at"])
    texts = news["headline"].astype(str).to_numpy(object)
    order = np.argsort(times, kind="stable")
    if bool((np.diff(times[order]) == 0).any()):
        order = np.lexsort((pd.factorize(texts, sort=True)[0], times))
    shingles, starts, weights = _shingles(texts[order].tolist())
    share, other = most_similar(times[order], shingles, starts, weights, WINDOW_HOURS * 3_600_000_000)
    novelty, repeated = np.ones(len(news)), np.full(len(news), "", dtype=object)
    novelty[order] = 1.0 - share
    same = share >= SAME
    repeated[order[same]] = texts[order[other[same]]]
    return novelty, repeated


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of two headlines: what `repeats` compares by, for two of them."""
    left, right = _set(one), _set(other)
    return len(left & right) / len(left | right) if left and right else 0.0


def _set(text: str) -> set[tuple[str | int, ...]]:
    found = words(text.lower())
    single = {(word, k) for word in found for k in range(HEAVY if _is_heavy(word) else 1)}
    pairs = {(*pair, k) for pair in pairwise(found) for k in range(HEAVY if not WAYS.isdisjoint(pair) else 1)}
    return single | pairs


def _is_heavy(word: str) -> bool:
    return word in WAYS or word[0].isdigit()


def _shingles(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of each text's words and pairs of neighbouring words, one text after the other; where each text starts
    (n + 1); and how much each number counts. The numbers themselves mean nothing.
    """
    known: dict[str, int] = {}
    number = known.setdefault
    lists = [[number(word, len(known)) for word in words(text.lower())] for text in texts]
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    singles = np.fromiter(chain.from_iterable(lists), np.int64, int(sizes.sum()))
    row = np.repeat(np.arange(len(lists)), sizes)
    left = np.flatnonzero(row[1:] == row[:-1])
    pairs, every = pd.factorize(singles[left] * len(known) + singles[left + 1])
    starts = np.concatenate([[0], np.cumsum(sizes + np.maximum(sizes - 1, 0))])
    shift = starts[:-1] - (np.cumsum(sizes) - sizes)
    found = np.empty(starts[-1], np.int64)
    found[np.arange(len(singles)) + shift[row]] = singles
    found[left + shift[row[left]] + sizes[row[left]]] = pairs + len(known)
    weights = np.ones(len(known) + len(every), np.int64)
    weights[: len(known)][np.fromiter(map(_is_heavy, known), bool, len(known))] = HEAVY
    way = np.fromiter(map(WAYS.__contains__, known), bool, len(known))
    if len(every):
        weights[len(known) :][way[every // len(known)] | way[every % len(known)]] = HEAVY
    return found, starts, weights

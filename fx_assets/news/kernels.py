"""Compiled sweeps over headlines and decision times. Import this module inside functions (numba is heavy).

Sums are taken over integers, so they are exact: a window's sum is the difference of two prefix sums, and neither the
order of rows nor where a computation started can change a bit of it. A long prefix of int64 may wrap around; the
difference is right as long as the window's own sum fits.
Decision times and headlines are both sorted, so that every edge of a window only ever moves forward: one pass, no
search. Between two headlines most signals stay as they are and are copied from the row before.

known_us is the last moment whose headlines count: the decision time, or a microsecond before it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

HOUR_US = 3_600_000_000
HALF_US = 6 * HOUR_US  # half life, and length of a block
HALVES = 12  # half lives in the decayed window
CAP_US = HALVES * HALF_US
DAYS = 7

# Fixed point: sentiment, relevance, novelty, and anything that decays.
VALUE = 1 << 20
RELEVANCE = 100
NOVELTY = 1 << 10
FRESH = 1 << 32

# Rows of the prefix sums of all news ...
MASS, SUM, SQUARES, NOVEL, NOVEL_SUM, FRESH_MASS, FRESH_SUM = range(7)
# ... and of the news of an instrument: for the base these five, for the quote the same from QUOTE on, then EITHER.
WEIGHT, WEIGHTED, NOVEL_WEIGHT, NOVEL_WEIGHTED, FRESH_WEIGHT, FRESH_WEIGHTED = range(6)
QUOTE = 6
EITHER = 12


@njit(cache=True, nogil=True)
def decay_in_block(event_us: np.ndarray) -> np.ndarray:
    """Each event's weight at the end of its block, in [1/2, 1); blocks are half lives counted from 1970."""
    out = np.empty(event_us.shape[0])
    for i in range(event_us.shape[0]):
        out[i] = 0.5 ** ((HALF_US - event_us[i] % HALF_US) / HALF_US)
    return out


@njit(cache=True, nogil=True)
def _forward(event_us: np.ndarray, at: int, limit: int) -> int:
    """The number of events up to and including `limit`, of which at least `at` are known to be."""
    n = event_us.shape[0]
    while at < n and event_us[at] <= limit:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _block_starts(event_us: np.ndarray, first: int, count: int) -> np.ndarray:
    """How many events lie before the start of each of `count` blocks, the first of which is number `first`."""
    out = np.empty(count, np.int64)
    at = 0
    for k in range(count):
        at = _forward(event_us, at, (first + k) * HALF_US - 1)
        out[k] = at
    return out


@njit(cache=True, nogil=True)
def _older(prefix: np.ndarray, starts: np.ndarray, block: int, oldest: int) -> float:
    """Decayed sum of the HALVES blocks before block number `block` of `starts`, from event `oldest` on."""
    total = 0.0
    scale = 0.5
    for k in range(1, HALVES + 1):
        begin = max(starts[block - k], oldest)
        end = max(starts[block - k + 1], oldest)
        total += scale * (prefix[end] - prefix[begin])
        scale *= 0.5
    return float(total)


@njit(cache=True, nogil=True)
def _usual(event_us: np.ndarray, edges: np.ndarray, moment: int) -> bool:
    """Move the edges of the same six hours of each of the DAYS before; whether any has moved."""
    moved = False
    for d in range(DAYS):
        for side in range(2):
            at = edges[side, d]
            edges[side, d] = _forward(event_us, at, moment - (d + 1) * 24 * HOUR_US - side * HALF_US)
            moved = moved or edges[side, d] != at
    return moved


@njit(cache=True, nogil=True)
def _surprise(prefix: np.ndarray, edges: np.ndarray, now: int, one: int) -> float:
    """log((1 + what there is now) / (1 + the mean of the same six hours of the days before))."""
    usual = 0
    for d in range(DAYS):
        usual += prefix[edges[0, d]] - prefix[edges[1, d]]
    return math.log((1.0 + now / one) / (1.0 + usual / (one * DAYS)))


@njit(cache=True, nogil=True)
def _dispersion(articles: int, total: int, squares: int) -> float:
    """Population standard deviation of integers, exactly zero for equal ones: taken around a whole number."""
    around = total // articles
    rest = total / articles - around
    spread = squares - 2 * around * total + around * around * articles
    return math.sqrt(max(spread / articles - rest * rest, 0.0))


@njit(cache=True, nogil=True)
def market_signals(
    event_us: np.ndarray, sums: np.ndarray, moment_us: np.ndarray, known_us: np.ndarray, out: np.ndarray
) -> None:
    """The signals of spec.MARKET, into out: float64 (14, moments), zeros.

    event_us: int64, sorted. sums: their prefix sums, int64 (7, events + 1). moment_us, known_us: int64, sorted.
    """
    n = moment_us.shape[0]
    if n == 0:
        return
    first = moment_us[0] // HALF_US - HALVES
    starts = _block_starts(event_us, first, moment_us[n - 1] // HALF_US - first + 2)
    hours = np.array([1, 6, 24])
    left = np.zeros(3, np.int64)
    edges = np.zeros((2, DAYS), np.int64)
    known = 0
    oldest = 0
    block = -1
    older_mass = 0.0
    older_sum = 0.0
    for i in range(n):
        moment = moment_us[i]
        before = known
        known = _forward(event_us, known, known_us[i])
        moved = known != before
        for w in range(3):
            before = left[w]
            left[w] = min(_forward(event_us, before, moment - hours[w] * HOUR_US), known)
            moved = moved or left[w] != before
        moved = _usual(event_us, edges, moment) or moved
        if moved:
            for w in range(3):
                articles = sums[MASS, known] - sums[MASS, left[w]]
                if articles > 0:
                    total = sums[SUM, known] - sums[SUM, left[w]]
                    squares = sums[SQUARES, known] - sums[SQUARES, left[w]]
                    out[3 * w, i] = articles
                    out[3 * w + 1, i] = total / (articles * VALUE)
                    out[3 * w + 2, i] = _dispersion(articles, total, squares) / VALUE
            six, day = left[1], left[2]
            novel = sums[NOVEL, known] - sums[NOVEL, day]
            if novel > 0:
                out[11, i] = (sums[NOVEL_SUM, known] - sums[NOVEL_SUM, day]) / novel / VALUE
            now = sums[MASS, known] - sums[MASS, six]
            out[12, i] = _surprise(sums[MASS], edges, now, 1)
            earlier = sums[MASS, six] - sums[MASS, day]
            if now > 0 and earlier > 0:
                recent = (sums[SUM, known] - sums[SUM, six]) / (now * VALUE)
                out[13, i] = recent - (sums[SUM, six] - sums[SUM, day]) / (earlier * VALUE)
        elif i > 0:
            for c in range(14):
                out[c, i] = out[c, i - 1]
        before = oldest
        oldest = min(_forward(event_us, oldest, moment - CAP_US), known)
        own = moment // HALF_US - first
        if own != block or oldest != before:
            block = own
            older_mass = _older(sums[FRESH_MASS], starts, block, oldest)
            older_sum = _older(sums[FRESH_SUM], starts, block, oldest)
        begin = min(max(starts[block], oldest), known)
        mass = older_mass + (sums[FRESH_MASS, known] - sums[FRESH_MASS, begin])
        decayed = older_sum + (sums[FRESH_SUM, known] - sums[FRESH_SUM, begin])
        out[9, i] = decayed / mass if mass > 0.0 else 0.0
        age = min(moment - event_us[known - 1], CAP_US) if known > 0 else CAP_US
        out[10, i] = age / (HOUR_US / 60.0)


@njit(cache=True, nogil=True)
def _lean(sums: np.ndarray, weight: int, begin: int, end: int, one: int) -> float:
    """Sentiment of the base less that of the quote between two events, each pulled to 0 by one article's weight.

    weight: row of the base's weights; the weighted sentiment is in the row below it.
    """
    found = 0.0
    for side in range(2):
        row = weight + side * QUOTE
        mass = sums[row, end] - sums[row, begin]
        lean = (sums[row + 1, end] - sums[row + 1, begin]) / (one + mass) / VALUE
        found += lean if side == 0 else -lean
    return found


@njit(cache=True, nogil=True)
def pair_signals(
    event_us: np.ndarray, sums: np.ndarray, moment_us: np.ndarray, known_us: np.ndarray, out: np.ndarray
) -> None:
    """The signals of spec.PAIR from the headlines about either currency, into out: float64 (9, moments), zeros.

    event_us: int64, sorted. sums: their prefix sums, int64 (13, events + 1). moment_us, known_us: int64, sorted.
    """
    n = moment_us.shape[0]
    if n == 0:
        return
    first = moment_us[0] // HALF_US - HALVES
    starts = _block_starts(event_us, first, moment_us[n - 1] // HALF_US - first + 2)
    edges = np.zeros((2, DAYS), np.int64)
    older = np.zeros(4)
    rows = np.array([FRESH_WEIGHT, FRESH_WEIGHTED, QUOTE + FRESH_WEIGHT, QUOTE + FRESH_WEIGHTED])
    known = 0
    six = 0
    day = 0
    oldest = 0
    block = -1
    for i in range(n):
        moment = moment_us[i]
        seen, seen_six, seen_day = known, six, day
        known = _forward(event_us, known, known_us[i])
        six = min(_forward(event_us, six, moment - HALF_US), known)
        day = min(_forward(event_us, day, moment - 24 * HOUR_US), known)
        moved = _usual(event_us, edges, moment) or known != seen or six != seen_six or day != seen_day
        if moved:
            now = sums[EITHER, known] - sums[EITHER, six]
            out[0, i] = now / RELEVANCE
            out[1, i] = (sums[EITHER, known] - sums[EITHER, day]) / RELEVANCE
            out[2, i] = _lean(sums, WEIGHT, six, known, RELEVANCE)
            out[3, i] = _lean(sums, WEIGHT, day, known, RELEVANCE)
            out[5, i] = _lean(sums, NOVEL_WEIGHT, day, known, RELEVANCE * NOVELTY)
            out[6, i] = _surprise(sums[EITHER], edges, now, RELEVANCE)
            out[7, i] = out[2, i] - _lean(sums, WEIGHT, day, six, RELEVANCE)
        elif i > 0:
            for c in range(9):
                out[c, i] = out[c, i - 1]
        before = oldest
        oldest = min(_forward(event_us, oldest, moment - CAP_US), known)
        own = moment // HALF_US - first
        if own != block or oldest != before:
            block = own
            for k in range(4):
                older[k] = _older(sums[rows[k]], starts, block, oldest)
        out[4, i] = 0.0
        if known > oldest:
            begin = max(starts[block], oldest)
            grown = 2.0 ** (((block + first + 1) * HALF_US - moment) / HALF_US)
            for side in range(2):
                weight, weighted = rows[2 * side], rows[2 * side + 1]
                mass = older[2 * side] + (sums[weight, known] - sums[weight, begin])
                total = older[2 * side + 1] + (sums[weighted, known] - sums[weighted, begin])
                lean = grown * total / (FRESH + grown * mass)
                out[4, i] += lean if side == 0 else -lean
        age = min(moment - event_us[known - 1], CAP_US) if known > 0 else CAP_US
        out[8, i] = age / (HOUR_US / 60.0)

"""Two figures of a sentence, now and before: `net sales were EUR 7.1 mn, compared to EUR 9.2 mn`. What is measured,
which amounts belong to it, and whether the change is good; how loud that is, and all else, are the finance layer's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fx_assets.sentiment.rules import Word
from fx_assets.sentiment.vocabulary import NOUN, Vocabulary


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SCALES = {
    **dict.fromkeys(("mn", "m", "mln", "mio", "million", "millions"), 1e6),
    **dict.fromkeys(("bn", "b", "bln", "billion", "billions"), 1e9),
    **dict.fromkeys(("tn", "trn", "trillion", "trillions"), 1e12),
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("lakh", "lakhs"), 1e5),
    **dict.fromkeys(("cr", "crore", "crores"), 1e7),
    **dict.fromkeys(("c", "cent", "cents", "p", "pence", "paise"), 0.01),
}
PERCENT = frozenset(("%", "pc", "pct", "percent", "per-cent", "bps"))
CURRENCIES = {
    **dict.fromkeys(("eur", "euro", "euros", "\u20ac"), "eur"),
    **dict.fromkeys(("usd", "us", "dollar", "dollars", "$"), "usd"),
    **dict.fromkeys(("gbp", "sterling", "pound", "pounds", "\u00a3"), "gbp"),
    **dict.fromkeys(("inr", "rs", "re", "rupee", "rupees", "\u20b9"), "inr"),
    **dict.fromkeys(("jpy", "yen", "\u00a5"), "jpy"),
    **{code: code for code in ("chf", "sek", "nok", "dkk", "aud", "cad", "nzd", "cny", "rmb", "pln", "rub", "eek")},
}
_FIGURE = re.compile(
    rf"^([+\u2212-]?)({'|'.join(code for code in CURRENCIES if code.isascii() and len(code) <= 3 and code != '$')})?"
    rf"\.?([$\u20ac\u00a3\u20b9\u00a5]?)([+\u2212-]?)(\d[\d,]*(?:\.\d+)?)"
    rf"({'|'.join(sorted((*SCALES, *PERCENT), key=len, reverse=True))})?$"
)
_YEAR = re.compile(r"^(19|20)\d\d$")
_DECIMAL_COMMA = re.compile(r"^\d+,\d{1,2}$")
# Counts of time and parts of dates are no figures.
_TIMES = _set(
    "day days week weeks month months quarter quarters year years hours january february march april june july august "
    "september october november december jan feb mar apr jun jul aug sep sept oct nov dec"
)
_QUARTERS = frozenset(("first", "last", "q", "page", "fiscal", "fy"))
# Behind these stands what the figure leaves out or belongs to, not what it measures: profit before taxes.
_WITHOUT = _set("before after excluding including without of per from for in on with at by ex minus")
_RESUMES = _set("and while but whereas was were is are totaled totalled amounted reached came stood")
_LOSSES = frozenset(("loss", "losses", "shortfall", "deficit", "deficits"))
# One may stand beside another: a loss against the profit of the year before.
_EARNINGS = _LOSSES | _set("profit profits income earnings result ebit ebita ebitda eps pat surplus")
_EXPECTED = _set(
    "estimate estimates forecast forecasts expectation expectations guidance outlook target targets consensus "
    "results figure net"
)
_GAP = _set("a an the of net about around approximately some nearly only just roughly operating pretax")
_WENT = frozenset(("went", "goes", "moved", "moves", "changed", "changes", "developed", "turned", "swung"))
BACK, AFTER = 16, 9


class Figure(NamedTuple):
    """A number as written: its value, scale (0.0: none said), currency ("": none said), whether it is a percentage, an
    amount per share, or may be a year.
    """

    value: float
    scale: float
    percent: bool
    currency: str
    share: bool = False
    year: bool = False


class Comparison(NamedTuple):
    """sign: 1 better, -1 worse, 0 alike. at: the comparing word. spent: words that say nothing beyond it."""

    sign: float
    at: int
    spent: tuple[int, ...]


def read_figure(raw: str) -> Figure | None:
    """A token that is a number, with the currency and unit written together with it."""
    found = _FIGURE.match(raw.lower().lstrip("([,;:'\"").rstrip(")],;:'\"."))
    if found is None:
        return None
    before, code, mark, sign, digits, unit = found.groups()
    plain = digits.replace(",", "." if _DECIMAL_COMMA.match(digits) else "")
    value = float(plain) * (-1.0 if (before or sign) in ("-", "\u2212") else 1.0)
    currency = CURRENCIES[mark or code] if mark or code else ""
    year = not (unit or currency) and bool(_YEAR.match(digits))
    return Figure(value, SCALES.get(unit or "", 0.0), unit in PERCENT, currency, year=year)


def comparisons(words: Sequence[Word], active: Sequence[int], vocabulary: Vocabulary) -> list[Comparison]:
    """Every comparison of two figures of one measure that no word of direction has told already."""
    places = [i for i in active if words[i].lower in vocabulary.comparators and words[i].lower != "than"]
    if not places or any(word.lower == "respectively" for word in words):
        return []
    figures = {i: figure for i, word in enumerate(words) if word.figure and (figure := _in_place(words, i))}
    found = [_compared(words, at, figures) for at in places] if figures else []
    return [one for one in found if one is not None]


def _compared(words: Sequence[Word], at: int, figures: dict[int, Figure]) -> Comparison | None:
    then = next((i for i in range(at + 1, min(at + 1 + AFTER, len(words))) if i in figures), None)
    last = then if then is not None else min(at + 5, len(words) - 1)
    between = [i for i in range(at + 1, last + 1) if words[i].measure]
    lost = any(words[i].lower in _LOSSES for i in between)
    if words[at].lower == "from" and any(
        word.lower not in _GAP and word.lower not in CURRENCIES and not word.measure for word in words[at + 1 : last]
    ):
        return None
    now = _now(words, at, then, figures)
    if now is None:
        return None
    measure = _measure(words, at, now, then)
    if measure is None:
        return None
    edges = (measure, now, at, last)
    if any(words[i].direction for i in range(min(edges), max(edges) + 1)):
        return None
    head = words[measure]
    if any(not _alike(words[i], head) for i in between):
        return None
    spent = tuple(i for i in (measure, *between) if words[i].lower in _LOSSES)
    loss = head.lower in _LOSSES
    if then is None:  # a loss against a profit needs no amount
        named = {words[i].lower in _LOSSES for i in between}
        return Comparison(-1.0 if loss else 1.0, at, spent) if named == {not loss} and head.measure else None
    pair = _amounts(figures[now], figures[then])
    if pair is None:
        return None
    a, b = (-abs(pair[0]) if loss else pair[0]), pair[1]
    b = -abs(b) if lost or (loss and not between) else b
    polarity = 1.0 if loss else float(head.measure)
    return Comparison(polarity * ((a > b) - (a < b)), at, spent)


def _now(words: Sequence[Word], at: int, then: int | None, figures: dict[int, Figure]) -> int | None:
    """The figure of today: before the comparing word, after `to` in `went from X to Y`, or in the main clause."""
    percent = figures[then].percent if then is not None else None
    if then is not None and words[at].lower == "from" and any(word.lower in _WENT for word in words[:at]):
        to = next((i for i in range(then + 1, min(then + 4, len(words))) if words[i].lower == "to"), None)
        if to is not None:
            return next((i for i in range(to + 1, to + 3) if i in figures), None)
    found = None
    for i in range(at - 1, max(at - 1 - BACK, -1), -1):
        if words[i].ends and i < at - 1:
            break
        if i in figures and percent in (None, figures[i].percent):
            found = i if found is None else found
            # EUR 5 mn, or 30 cents a share, compared with EUR 4 mn
            if then is None or figures[i].share == figures[then].share:
                return i
    if found is not None:
        return found
    if then is None or any(word.measure for word in words[:at]):
        return None
    start = next((i for i in range(then, len(words)) if words[i].breaks), len(words))
    return next((i for i in range(start + 1, len(words)) if i in figures and figures[i].percent == percent), None)


def _measure(words: Sequence[Word], at: int, now: int, then: int | None) -> int | None:
    """What the figure measures: the last noun before it that is no part of `before taxes` or `excluding costs`."""
    head = spare = None
    inside = False
    # In `compared with X in 2008, sales were Y` it stands behind the comparing word; elsewhere before it.
    turned = now > at and then is not None and words[at].lower != "from"
    first, end = (then + 1, now) if turned and then is not None else (max(min(now, at) - BACK, 0), min(now, at))
    for i in range(first, end):
        word = words[i]
        if word.lower in _WITHOUT:
            inside = True
        elif word.lower in _RESUMES:
            inside = False
        elif word.measure and word.lower not in _EXPECTED and not _is_currency(words, i):
            if inside:
                spare = i if spare is None else spare
            else:
                head = i
        if word.ends:
            head = spare = None
        if word.breaks:
            inside = False
    if head is None and spare is None:  # EUR 5 mn in net sales
        spare = next((i for i in range(now + 1, at) if words[i].measure and not _is_currency(words, i)), None)
    return spare if head is None else head


def _alike(word: Word, head: Word) -> bool:
    """Whether a figure named so may stand beside one of head: itself, what was expected, a loss beside a profit."""
    if word.lower == head.lower or word.lower in _EXPECTED or word.lower in CURRENCIES:
        return True
    return {word.lower, head.lower} <= _EARNINGS


def _amounts(now: Figure, then: Figure) -> tuple[float, float] | None:
    """Both in one unit, a scale said once counting for both; None for other currencies or a year."""
    if now.currency and then.currency and now.currency != then.currency:
        return None
    return _scaled(now, then), _scaled(then, now)


def _scaled(one: Figure, other: Figure) -> float:
    scale = one.scale
    if not scale and other.scale and abs(one.value) < 1e5 and not (other.scale < 1 and one.currency):
        scale = other.scale
    return one.value * (scale or 1.0)


def _in_place(words: Sequence[Word], i: int) -> Figure | None:
    """The figure at i with what stands around it: EUR before, mn, euros or percent after. None for dates and years."""
    figure = words[i].figure
    assert figure is not None
    before = words[i - 1].lower if i else ""
    scale = figure.scale
    currency = figure.currency or CURRENCIES.get(before, "")
    j = i + 1
    while j < len(words) and words[j].lower in SCALES and not words[j - 1].breaks:  # 1.2 lakh crore
        scale = (scale or 1.0) * SCALES[words[j].lower]
        j += 1
    after = words[j].lower if j < len(words) and not words[j - 1].breaks else ""
    behind = words[j + 1].lower if j + 1 < len(words) else ""
    percent = figure.percent or after.rstrip(",.;:)") in PERCENT or (after == "per" and behind == "cent")
    if not currency and after in CURRENCIES:
        currency = CURRENCIES[after]
        j += 1
        after, behind = behind, words[j + 1].lower if j + 1 < len(words) else ""
    if not (scale or percent or currency) and (
        figure.year or before in _TIMES or after in _TIMES or before in _QUARTERS
    ):
        return None
    return Figure(figure.value, scale, percent, currency, after in ("a", "per") and behind == "share")


def _is_currency(words: Sequence[Word], i: int) -> bool:
    """Whether a noun such as `euro` is a unit here."""
    near = (words[j].figure or words[j].lower in SCALES for j in (i - 1, i + 1) if 0 <= j < len(words))
    return words[i].lower in CURRENCIES and any(near)


def measure_of(word: Word, vocabulary: Vocabulary) -> int:
    """1 where more of it is better, -1 where less is, 0 for what has no figures or none that matter."""
    if word.role == NOUN and abs(word.polarity) == 1.0:
        return int(word.polarity)
    return 1 if word.lower in vocabulary.measures else 0

"""Headlines of the made-up market: each shock has one that says which way it went, and quiet hours have others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fx_assets.synthetic import numbers, weeks
from fx_assets.synthetic.currencies import shocks

# Currencies that are written about: (country or region, currency in words, central bank).
WRITTEN_ABOUT = {
    "USD": ("US", "Dollar", "Fed"),
    "EUR": ("Euro zone", "Euro", "ECB"),
    "GBP": ("UK", "Sterling", "Bank of England"),
    "JPY": ("Japan", "Yen", "Bank of Japan"),
    "CHF": ("Swiss", "Franc", "SNB"),
    "AUD": ("Australia", "Aussie dollar", "RBA"),
    "NZD": ("New Zealand", "Kiwi dollar", "RBNZ"),
    "CAD": ("Canada", "Loonie", "Bank of Canada"),
}
UP = (
    "{currency} rallies as {country} inflation beats forecasts",
    "{currency} surges after strong {country} jobs report",
    "{bank} raises rates more than expected, {currency} gains",
    "{country} growth beats expectations, {currency} climbs",
)
DOWN = (
    "{currency} falls as {country} inflation misses forecasts",
    "{currency} slumps after weak {country} jobs report",
    "{bank} cuts rates in surprise move, {currency} drops",
    "{country} growth disappoints, {currency} slides on recession fears",
)
QUIET = (
    "{currency} little changed ahead of {bank} minutes",
    "{currency} holds steady in thin trade",
    "{country} officials to meet on trade next week",
    "{bank} governor to speak at conference",
)
SOURCES = ("Synthetic Wire", "Example Markets", "Sample Street Journal")
QUIET_CHANCE = 0.06
PUBLISHED_S, SEEN_S = (5, 40), (20, 150)


def headlines(seed: int, first: int, last: int) -> dict[str, Any]:
    """Columns published, first_seen (microseconds since 1970, UTC), headline, source, article_count of the weeks
    first .. last - 1, by first_seen. A large shock is written about more often.
    """
    hours = np.arange(first * weeks.HOURS, last * weeks.HOURS)
    opened = np.repeat(weeks.opens(first, last), weeks.HOURS) + (hours % weeks.HOURS) * 3_600_000_000
    rows: list[tuple[int, int, str, str, int]] = []
    for currency, words in WRITTEN_ABOUT.items():
        surprise, minute = shocks(seed, currency, int(hours[0]), int(hours[-1]) + 1)
        draw = {
            what: numbers.uniform(numbers.key(seed, "headline", what, currency), hours)
            for what in ("quiet", "published", "seen", "text", "source", "minute")
        }
        quiet = (surprise == 0) & (draw["quiet"] < QUIET_CHANCE)
        for n in np.flatnonzero((surprise != 0) | quiet):
            texts = QUIET if quiet[n] else UP if surprise[n] > 0 else DOWN
            at = opened[n] + (int(draw["minute"][n] * 60) if quiet[n] else int(minute[n])) * 60_000_000
            published = at + _seconds(draw["published"][n], PUBLISHED_S)
            rows.append(
                (
                    published,
                    published + _seconds(draw["seen"][n], SEEN_S),
                    _of(texts, draw["text"][n]).format(country=words[0], currency=words[1], bank=words[2]),
                    _of(SOURCES, draw["source"][n]),
                    1 if quiet[n] else 1 + int(4 * abs(surprise[n])),
                )
            )
    rows.sort(key=lambda row: (row[1], row[0], row[2]))
    times = [np.array([row[k] for row in rows], dtype="int64").astype("datetime64[us]") for k in (0, 1)]
    return {
        "published": pd.DatetimeIndex(times[0]).tz_localize("UTC"),
        "first_seen": pd.DatetimeIndex(times[1]).tz_localize("UTC"),
        "headline": np.array([row[2] for row in rows], dtype=object),
        "source": np.array([row[3] for row in rows], dtype=object),
        "article_count": np.array([row[4] for row in rows], dtype="int64"),
    }


def _seconds(draw: float, bounds: tuple[int, int]) -> int:
    return int(bounds[0] + draw * (bounds[1] - bounds[0])) * 1_000_000


def _of(texts: tuple[str, ...], draw: float) -> str:
    return texts[int(draw * len(texts))]

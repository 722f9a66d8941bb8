"""What the checks need to know of the instruments: bars, calendar, currencies, typical spread, and the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from fx_assets.configuration import Configuration, Quality

_TELLS_ONLY = {"min_completeness"}  # decides what a check says, and of no candle


@dataclass(frozen=True)
class Listed:
    """One instrument. typical_spread: in price units."""

    symbol: str
    minutes: int
    calendar: str
    typical_spread: float

    @property
    def currencies(self) -> tuple[str, str] | None:
        """Base and quote of a symbol such as EUR_USD; None for any other."""
        base, _, quote = self.symbol.partition("_")
        return (base, quote) if quote else None


@dataclass(frozen=True)
class Triangle:
    """Three instruments whose log prices, each times its sign, add up to nothing. Members are positions."""

    members: tuple[int, int, int]
    signs: tuple[float, float, float]


@dataclass(frozen=True)
class Market:
    """Every configured instrument, in order, with the limits of data.yaml and of the sources."""

    instruments: tuple[Listed, ...]
    limits: Quality = field(default_factory=Quality)
    bad_shares: Mapping[str, float] = field(default_factory=dict)
    default_bad_share: float = 0.01
    all_week: bool = False

    @classmethod
    def of(cls, configuration: Configuration) -> Market:
        """The market of a configuration."""
        file = configuration.instruments
        listed = tuple(
            Listed(symbol, i.minutes, i.calendar, i.typical_spread) for symbol, i in file.instruments.items()
        )
        # Also of a source that no instrument lists: what it answered, or what was imported, is in bronze still.
        shares = {name: options.max_bad_share for name, options in file.sources.items()}
        return cls(listed, configuration.data.quality, shares, all_week=configuration.all_week)

    @property
    def setting(self) -> str:
        """Everything that decides which candles are believed: another string means that it may be others."""
        limits = {k: v for k, v in self.limits.model_dump().items() if k not in _TELLS_ONLY}
        shares = {name: share for name, share in self.bad_shares.items() if share != self.default_bad_share}
        listed = sorted((i.symbol, i.minutes, i.calendar, i.typical_spread) for i in self.instruments)
        return json.dumps([listed, limits, shares], sort_keys=True)

    def max_bad_share(self, source: str) -> float:
        """Of a row's source, such as `oanda`, `oanda_stream` (its pricing stream) or `import:EURUSD.csv`."""
        name = source.partition(":")[0]
        return self.bad_shares.get(name, self.bad_shares.get(name.removesuffix("_stream"), self.default_bad_share))

    @cached_property
    def symbols(self) -> list[str]:
        return [listed.symbol for listed in self.instruments]

    @cached_property
    def minutes(self) -> np.ndarray:
        return np.array([listed.minutes for listed in self.instruments], dtype=np.int64)

    @cached_property
    def typical_spread(self) -> np.ndarray:
        return np.array([listed.typical_spread for listed in self.instruments])

    @cached_property
    def related(self) -> np.ndarray:
        """[i, j]: whether two different instruments of one bar length share a currency."""
        pairs = [set(listed.currencies or ()) for listed in self.instruments]
        shared = [[a is not b and bool(a & b) for b in pairs] for a in pairs]
        return np.array(shared, dtype=bool) & (self.minutes[:, None] == self.minutes[None, :])

    @cached_property
    def triangles(self) -> tuple[Triangle, ...]:
        """Such as EUR_USD, USD_JPY and EUR_JPY: every three instruments of one bar length that close a circle."""
        pairs = [(n, *listed.currencies) for n, listed in enumerate(self.instruments) if listed.currencies]
        found = []
        for three in combinations(pairs, 3):
            if len({self.minutes[n] for n, *_ in three}) == 1 and (signs := _signs([p[1:] for p in three])):
                found.append(Triangle((three[0][0], three[1][0], three[2][0]), signs))
        return tuple(found)


def _signs(pairs: list[tuple[str, str]]) -> tuple[float, float, float] | None:
    """Signs by which three log prices cancel; None where the three do not close a circle.

    Going from currency to currency, a pair counts +1 from base to quote and -1 the other way.
    """
    if len({currency for pair in pairs for currency in pair}) != 3 or len({frozenset(pair) for pair in pairs}) != 3:
        return None
    at, signs = pairs[0][1], [1.0, 0.0, 0.0]
    second = 1 if at in pairs[1] else 2
    signs[second] = 1.0 if pairs[second][0] == at else -1.0
    at = pairs[second][1] if pairs[second][0] == at else pairs[second][0]
    third = 3 - second
    signs[third] = 1.0 if pairs[third][0] == at else -1.0
    return signs[0], signs[1], signs[2]

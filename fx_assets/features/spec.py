"""The declaration of one feature. Nothing here computes anything; the group files hold the formulas."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Group = Literal["technical", "microstructure", "volatility", "regime", "calendar", "cross", "economic", "rates"]
GROUPS: tuple[Group, ...] = (
    "technical",
    "microstructure",
    "volatility",
    "regime",
    "calendar",
    "cross",
    "economic",
    "rates",
)
# What `requires` may name beside columns: bars of other instruments that share a currency, two other instruments
# whose cross is this one, a release calendar, policy rates.
PSEUDO_COLUMNS = ("others", "triangle", "economic", "rates")
# No value may look back on more bars than this, its own included: what a live tail has to hold.
MAX_WINDOW = 520


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature is, and how much history its value stands on.

    name: column name. group: the file that declares it.
    window: a value depends on this many bars, its own included, and on nothing older, to the last bit.
    warmup: bars at the start of an instrument's history whose value is NaN (window - 1 everywhere, so a value
        is either NaN or the one true value, wherever the computation started).
    unit: unit of the value. requires: columns of the bar frame beyond instrument and time, and PSEUDO_COLUMNS.
    source: where the formula comes from. description: one line for people.
    """

    name: str
    group: Group
    window: int
    warmup: int
    unit: str
    requires: tuple[str, ...]
    source: str
    description: str


def declare(
    group: Group, name: str, window: int, unit: str, requires: str, source: str, description: str
) -> FeatureSpec:
    """A FeatureSpec whose warm-up is window - 1; `requires` is a space-separated list of columns.

    Raises ValueError for a window that no tail would cover.
    """
    if not 1 <= window <= MAX_WINDOW:
        raise ValueError(f"feature {name}: window {window} is not within 1..{MAX_WINDOW} bars.")
    return FeatureSpec(name, group, window, window - 1, unit, tuple(requires.split()), source, description)


def positions(specs: Iterable[FeatureSpec]) -> Any:
    """A named tuple: the position of each feature among `specs`, by its name."""
    names = [spec.name for spec in specs]
    return namedtuple("Positions", names)(*range(len(names)))

"""The declaration of one feature. Nothing here computes anything; the group files hold the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["technical", "microstructure", "volatility", "calendar"]
GROUPS: tuple[Group, ...] = ("technical", "microstructure", "volatility", "calendar")


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature is, and how much history its value stands on.

    name: column name. group: the file that computes it.
    window: a value depends on this many bars, its own included, and on nothing older, to the last bit.
    warmup: bars at the start of an instrument's history whose value is NaN (window - 1 everywhere, so a value
        is either NaN or the one true value, wherever the computation started).
    unit: unit of the value. requires: columns of the bar frame beyond instrument and time.
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
    """A FeatureSpec whose warm-up is window - 1; `requires` is a space-separated list of columns."""
    return FeatureSpec(name, group, window, window - 1, unit, tuple(requires.split()), source, description)

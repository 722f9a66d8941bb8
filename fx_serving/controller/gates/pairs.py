"""Predictions of candidate and deployed version for the same instrument and time, with what then happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MOST = 1e100  # squares and sums of what is cut off here are still numbers: one absurd figure must not stop the gates


class Outcome(Protocol):
    """A prediction whose truth is known. direction: -1, 0 or 1; value: in the label's own unit."""

    @property
    def timestamp(self) -> datetime: ...
    @property
    def instrument(self) -> str: ...
    @property
    def prediction(self) -> float: ...
    @property
    def direction(self) -> int | None: ...
    @property
    def value(self) -> float | None: ...


@dataclass(frozen=True)
class Pairs:
    """Both versions on the same events: what the market did is the same for both, so that only they differ.

    One entry per time, the mean over its instruments, since instruments move together. `rises`: the candidate's squared
    error less the other's. `returns`: (candidate's, other's). `n`, `traded`: how many pairs they are made of.
    """

    rises: tuple[float, ...] = ()
    n: int = 0
    returns: tuple[tuple[float, float], ...] = ()
    traded: int = 0


def pair(candidate: Iterable[Outcome], control: Iterable[Outcome]) -> Pairs:
    """Match them by time and instrument; of several predictions for one event the last counts."""
    theirs = {(found.timestamp, found.instrument): found for found in control}
    mine = {(found.timestamp, found.instrument): found for found in candidate}
    rises: dict[datetime, list[float]] = {}
    returns: dict[datetime, list[tuple[float, float]]] = {}
    for key, one in sorted(mine.items()):
        other = theirs.get(key)
        if other is None:
            continue
        direction = one.direction if one.direction is not None else other.direction
        value = one.value if one.value is not None else other.value
        if direction is None and value is not None:
            direction = (value > 0) - (value < 0)
        if direction is None:
            continue
        happened = 1.0 if direction > 0 else 0.0
        rises.setdefault(key[0], []).append((one.prediction - happened) ** 2 - (other.prediction - happened) ** 2)
        gain = float(direction) if value is None else min(max(value, -MOST), MOST)
        returns.setdefault(key[0], []).append((_side(one.prediction) * gain, _side(other.prediction) * gain))
    return Pairs(
        tuple(sum(found) / len(found) for found in rises.values()),
        sum(map(len, rises.values())),
        tuple((sum(a for a, _ in f) / len(f), sum(b for _, b in f) / len(f)) for f in returns.values()),
        sum(map(len, returns.values())),
    )


def _side(prediction: float) -> int:
    """Which way one would have traded on it."""
    return (prediction > 0.5) - (prediction < 0.5)

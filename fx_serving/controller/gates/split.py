"""The salt of a rollout: chosen so that the split of known keys is as even as the weight says.

A hash splits 10,000 keys no better than a fair coin does, half a point off on average at 50 %. Among several salts
there is always one that does better, and a salt is all that a worker needs: routing stays a pure function of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fx_serving.routing import position

REFERENCE_KEYS = 10_000
TOLERANCE = 0.5  # points
TRIES = 64


@dataclass(frozen=True)
class Salt:
    """A salt, how many were tried, and how far the split is off at worst, in points."""

    salt: str
    tried: int
    worst: float


def reference_keys(recent: Sequence[str]) -> list[str]:
    """The keys the split is made even for: the newest known ones, filled up with numbers."""
    keys = list(dict.fromkeys(recent))[:REFERENCE_KEYS]
    known = set(keys)
    fill = (str(n) for n in range(2 * REFERENCE_KEYS) if str(n) not in known)
    return keys + [next(fill) for _ in range(REFERENCE_KEYS - len(keys))]


def deviation(salt: str, keys: Sequence[str], weights: Iterable[float]) -> float:
    """How many points the share of keys that go to green is off, at the worst of these weights."""
    found = sorted(position(salt, key) for key in keys)
    off = (abs(bisect_left(found, weight) / len(found) * 100 - weight) for weight in weights if weight < 100)
    return max(off, default=0.0)


def choose_salt(rollout_id: str, keys: Sequence[str], weights: Iterable[float]) -> Salt:
    """The first salt of this rollout that splits `keys` within half a point at every weight; else the best of many."""
    steps, best = tuple(weights), None
    for tried in range(TRIES):
        salt = f"{rollout_id}.{tried}"
        worst = deviation(salt, keys, steps) if keys else 0.0
        if best is None or worst < best.worst:
            best = Salt(salt, tried + 1, worst)
        if worst <= TOLERANCE:
            break
    assert best is not None
    return best

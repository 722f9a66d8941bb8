"""Whose bars are longer than whose, where nobody says so: a longer bar that opens with a shorter one closes after it.

The rule looks at what more rows hardly change. An instrument's distance is the smallest between two of its bars. Its
bars are longer than another's if that distance is at least twice the other's and at least BETWEEN bars of the other lie
between its own: a few missing bars are no longer ones. One bar has no distance and counts as like the shortest. State
the length (bar_us) where bars are few and most are missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fx_assets.features.blocks import time_us

BETWEEN = 12


def usual_length(times: pd.Series) -> int:
    """The commonest distance between rising times in microseconds, the shortest of equals; 0 with fewer than two."""
    gaps, counts = np.unique(np.diff(time_us(times)), return_counts=True)
    return int(gaps[np.argmax(counts)]) if len(gaps) else 0


def lengths(times: Mapping[str, np.ndarray]) -> dict[str, int]:
    """By instrument a length of its bars in microseconds, the same number for those that count as equally long.

    times: each one's bar opens, int64 microseconds, rising. 0 where no two bars tell.
    """
    nearest = {name: int(np.diff(opens).min()) if len(opens) > 1 else 0 for name, opens in times.items()}
    found: dict[str, int] = {}
    kinds: list[str] = []  # one instrument for each length, the shortest first
    for name in sorted(nearest, key=lambda name: (not nearest[name], nearest[name], name)):
        if not nearest[name]:
            found[name] = nearest[kinds[0]] if kinds else 0
        elif like := next((kind for kind in kinds if not _longer(times, nearest, name, kind)), ""):
            found[name] = nearest[like]
        else:
            kinds.append(name)
            found[name] = nearest[name]
    return {name: found[name] for name in times}


def _longer(times: Mapping[str, np.ndarray], nearest: Mapping[str, int], name: str, other: str) -> bool:
    if nearest[name] < 2 * nearest[other]:
        return False
    own, theirs = times[name], times[other]
    inside = theirs[np.searchsorted(theirs, own[0]) : np.searchsorted(theirs, own[-1])]
    return len(np.setdiff1d(inside, own, assume_unique=True)) >= BETWEEN

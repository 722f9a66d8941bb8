"""Whether what is online is what gold says, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fx_assets.feature_store.encoding import ENTITY

SHOWN = 50


def parity_problems(
    newest: pd.DataFrame, online: Mapping[str, pd.DataFrame], views: Mapping[str, Sequence[str]]
) -> list[str]:
    """What differs between the newest gold rows and the online rows of each view; empty when nothing does.

    newest: one row of each instrument (instrument, available_at, features). online: by view, as stored_online gives
    it. A missing value equals a missing value; 0.0 does not equal -0.0.
    """
    found: list[str] = []
    left = newest.set_index(ENTITY).sort_index()
    for view, stored in online.items():
        right = stored.set_index(ENTITY).reindex(left.index)
        for symbol, gold, there in zip(left.index, left["available_at"], right["available_at"], strict=True):
            if gold != there:
                words = "nothing" if pd.isna(there) else f"the row of {there:%Y-%m-%d %H:%M:%S}"
                found.append(f"{symbol} {view}: {words} online, {gold:%Y-%m-%d %H:%M:%S} in gold")
        names = list(views[view])
        gold, there = (np.ascontiguousarray(frame[names], "float64") for frame in (left, right))
        same = (gold.view(np.int64) == there.view(np.int64)) | (np.isnan(gold) & np.isnan(there))
        found += [f"{left.index[row]}.{names[column]}" for row, column in np.argwhere(~same)]
    return found


def told(problems: Sequence[str]) -> list[str]:
    """For metadata: the first of them, and how many more there are."""
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return [*problems[:SHOWN], *more] or ["none"]

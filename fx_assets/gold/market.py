"""gold/market_features: what of a bar is made of more than its own instrument's candles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fx_assets.features import compute_features, cross
from fx_assets.features.blocks import MINUTE_US, Bars, with_columns
from fx_assets.inputs import MARKET_GROUPS, REFERENCE

if TYPE_CHECKING:
    from fx_assets.features.reference import Reference


def reference_of(files: Mapping[str, pd.DataFrame]) -> Reference | None:
    """Reference files by name (economic, rates) as the features take them; None without any."""
    if not files:
        return None
    from fx_assets.features.reference import Reference

    return Reference(**files)


def market_table(bars: pd.DataFrame, bar_minutes: Mapping[str, int], reference: Reference | None) -> pd.DataFrame:
    """instrument, time and the features of MARKET_GROUPS, sorted by these two; those of files only where `reference`
    has the file.

    bars: the candles of every instrument. bar_minutes: length of a bar by instrument: only instruments of one length
    see each other, since a longer bar of the same open is known later.
    """
    given = reference.provides if reference is not None else frozenset()
    groups = [group for group in MARKET_GROUPS if group not in REFERENCE or group in given]
    parts = []
    for minutes in sorted(set(bar_minutes.values())):
        mates = [symbol for symbol, length in bar_minutes.items() if length == minutes]
        rows = bars if len(mates) == len(bar_minutes) else bars[bars["instrument"].isin(mates)]
        if len(rows) or not len(bars):
            found = compute_features(rows, groups, reference=reference, bar_us=minutes * MINUTE_US)
            parts.append(_with_cross(found, rows, mates))
    if len(parts) == 1:
        return parts[0]
    return pd.concat(parts).sort_values(["instrument", "time"], kind="stable", ignore_index=True)


def _with_cross(found: pd.DataFrame, bars: pd.DataFrame, mates: list[str]) -> pd.DataFrame:
    """With the cross features that the instruments allow even if only some of them have bars here.

    A session alone, in which the others do not trade, then has what it has as a part of a longer range.
    """
    there = cross.provides(mates)
    absent = [s.name for s in cross.SPECS if s.name not in found.columns and set(s.requires) <= {"close", *there}]
    if not absent:
        return found
    blocks = Bars.read(bars).blocks
    values = cross.compute({block.instrument: block for block in blocks})
    columns = {name: np.concatenate([values[block.instrument][name] for block in blocks]) for name in absent}
    return with_columns(found, columns)

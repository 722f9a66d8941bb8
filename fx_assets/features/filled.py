"""Features of bars whose optional columns have gaps: missing where the figure is, not made of a zero."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fx_assets.features.blocks import OPTIONAL, Bars, with_columns
from fx_assets.features.engine import features_of
from fx_assets.features.reference import Reference
from fx_assets.features.registry import FEATURES


def filled_features(
    bars: pd.DataFrame, groups: Iterable[str] | None = None, reference: Reference | None = None, bar_us: int = 0
) -> pd.DataFrame:
    """Features as compute_features gives them; missing for a bar without the optional columns that they need.

    Arguments and errors as there. A column without any figure counts as absent. In the windows of other bars a missing
    figure counts as zero.
    """
    empty = [name for name in OPTIONAL if name in bars.columns and bars[name].isna().all()]
    read = Bars.read(bars.drop(columns=empty) if empty else bars)
    unknown = {name: read.frame[name].isna().to_numpy() for name in OPTIONAL if name in read.frame.columns}
    found = features_of(read, groups, reference, bar_us)
    partly = {name: rows for name, rows in unknown.items() if rows.any()}
    blank: dict[str, np.ndarray] = {}
    for spec in FEATURES:
        needed = [partly[name] for name in spec.requires if name in partly]
        if needed and spec.name in found.columns:
            blank[spec.name] = np.where(np.any(needed, axis=0), np.nan, found[spec.name].to_numpy(float))
    return with_columns(found, blank) if blank else found

"""Which pairs of values are equal within tolerance, and how far apart the others are."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from fx_assets.compare.mapping import Tolerance
from fx_assets.schemas import UTC_TIME

Kind = Literal["number", "time", "text"]


def kind_of(values: pd.Series) -> Kind:
    """What a column holds."""
    if types.is_datetime64_any_dtype(values):
        return "time"
    return "number" if types.is_numeric_dtype(values) else "text"


def same_kind(old: pd.Series, new: pd.Series) -> tuple[pd.Series, pd.Series, Kind] | None:
    """Both as the same kind of value; None where they are not. A side without any value is of the other's kind, and
    text that is all figures is figures where the other side has them.
    """
    kinds: set[Kind] = {kind_of(side) for side in (old, new) if side.notna().any()}
    if len(kinds) > 1:
        a, b = (pd.to_numeric(side, errors="coerce") if kind_of(side) == "text" else side for side in (old, new))
        if "time" in kinds or (a.isna() & old.notna()).any() or (b.isna() & new.notna()).any():
            return None
        return a, b, "number"
    kind: Kind = kinds.pop() if kinds else "number"
    dtype = {"number": "float64", "time": UTC_TIME, "text": object}[kind]
    old, new = (side if kind_of(side) == kind else side.astype(dtype) for side in (old, new))
    return old, new, kind


def equal_numbers(old: np.ndarray, new: np.ndarray, tolerance: Tolerance) -> np.ndarray:
    """Which are equal within tolerance; missing equals missing, and the order of the sides does not matter."""
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = np.maximum(tolerance.absolute, tolerance.relative * np.maximum(np.abs(old), np.abs(new)))
        close = (np.abs(old - new) <= allowed) & np.isfinite(old) & np.isfinite(new)
    return close | (old == new) | (np.isnan(old) & np.isnan(new))


def equal(old: pd.Series, new: pd.Series, kind: Kind, tolerance: Tolerance) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are equal, and the finite distances of the others (figures; of times in seconds; of text none)."""
    none = np.empty(0)
    if kind == "text":
        a, b = old.to_numpy(object), new.to_numpy(object)
        missing = pd.isna(a) & pd.isna(b)
        return (a == b) | missing, none
    if kind == "time":
        seconds = (old - new).dt.total_seconds().to_numpy()
        same = (seconds == 0) | (old.isna() & new.isna()).to_numpy()
    else:
        a, b = old.to_numpy("float64"), new.to_numpy("float64")
        same = equal_numbers(a, b, tolerance)
        with np.errstate(invalid="ignore", over="ignore"):
            seconds = a - b
    apart = np.abs(seconds[~same])
    return same, apart[np.isfinite(apart)]

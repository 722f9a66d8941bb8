"""Why a column differs, where the data prove it: a cause is named only when it holds for nearly every row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fx_assets.compare.equality import equal_numbers
from fx_assets.compare.mapping import Tolerance

MIN_ROWS, PROOF = 20, 0.99
MAX_ROWS_SHIFTED = 10
PARTNERS = {"high": "low", "low": "high", "bid_close": "ask_close", "ask_close": "bid_close"}
_CLOSE, _QUOTED = 1e-6, 1e-4  # of a scale; of an inverse, which both systems may have rounded
_FLOAT32 = 2.0**-23

Found = tuple[str, str]  # kind, and in words


def column_cause(
    old: np.ndarray,
    new: np.ndarray,
    partner: np.ndarray,
    same: np.ndarray,
    entity: np.ndarray,
    tolerance: Tolerance,
) -> Found | None:
    """The first cause that explains nearly every row of a column (float64, rows by entity and time).

    partner: of `high` the new `low`, and so on, since inverted prices have them swapped; else the new column itself.
    same: which rows are equal.
    """
    there = np.isfinite(old) & np.isfinite(new)
    if there.sum() < MIN_ROWS or same[there].all():
        return None
    a, b = old[there], new[there]
    tests: tuple[Callable[[], Found | None], ...] = (
        lambda: _rounded(a, b, same[there]),
        lambda: _shifted(old, new, same, entity, tolerance),
        lambda: _inverted(a, partner[there]),
        lambda: _scaled(a, b),
    )
    return next((found for test in tests if (found := test())), None)


def _rounded(a: np.ndarray, b: np.ndarray, same: np.ndarray) -> Found | None:
    """One side is the other with fewer digits, in every row."""
    largest = np.maximum(np.abs(a), np.abs(b))
    if (np.abs(a - b) <= _FLOAT32 * largest).all():
        for side, values in (("old", a), ("new", b)):
            if (values == values.astype("float32")).all():
                return "float32", f"float32 rounding: the {side} column holds seven digits"
    for side, few, many in (("old", a, b), ("new", b, a)):
        for places in range(11):
            half = 0.5 * 10.0**-places
            # Each differing value lies within half a digit, and there are no more digits than these.
            if (np.abs(few - many) > half * (1 + 1e-6) + 1e-12 * largest).any():
                break
            short = np.abs(few - np.round(few, places)) <= 1e-12 * np.maximum(1.0, np.abs(few))
            if short.all() and len(np.unique(few[~same])) >= min(3, int((~same).sum())):
                return "rounded", f"rounding: the {side} column has {places} decimal places"
    return None


def _shifted(
    old: np.ndarray, new: np.ndarray, same: np.ndarray, entity: np.ndarray, tolerance: Tolerance
) -> Found | None:
    """old[row] == new[row + k] for nearly every row, and not without a shift."""
    if same.mean() > 0.5:
        return None
    for distance in range(1, min(MAX_ROWS_SHIFTED, len(old) - MIN_ROWS) + 1):
        for rows in (distance, -distance):
            early, late = slice(None, -distance), slice(distance, None)
            mine, other = (early, late) if rows > 0 else (late, early)
            a, b = old[mine], new[other]
            seen = (entity[mine] == entity[other]) & np.isfinite(a) & np.isfinite(b)
            if seen.sum() < MIN_ROWS or not _varied(b[seen]):
                continue
            if equal_numbers(a[seen], b[seen], tolerance).mean() >= PROOF:
                if rows > 0:
                    return (
                        "look-ahead",
                        f"the old column is the new one {rows} rows later: look-ahead in the old system",
                    )
                told = f"the old column is the new one {distance} rows earlier: it lags, or the new one looks ahead"
                return "look-ahead", told
    return None


def _inverted(a: np.ndarray, b: np.ndarray) -> Found | None:
    product = np.abs(a * b - 1)
    if (product <= _QUOTED).mean() >= PROOF and np.median(product) < 0.01 * np.median(np.abs(a - b)) and _varied(b):
        return "inverted", "inverted: the old column is 1 / the new one"
    return None


def _scaled(a: np.ndarray, b: np.ndarray) -> Found | None:
    there = b != 0
    if there.sum() < MIN_ROWS or not _varied(b[there]):
        return None
    ratio = float(np.median(a[there] / b[there]))
    if ratio == 0 or abs(ratio - 1) < _QUOTED or (np.abs(a - ratio * b) <= _CLOSE * np.abs(a)).mean() < PROOF:
        return None
    if abs(ratio) < 1:
        return "scaled", f"scaled: the new column is {1 / ratio:,.6g} times the old one"
    return "scaled", f"scaled: the old column is {ratio:,.6g} times the new one"


def _varied(values: np.ndarray) -> bool:
    """Whether values are different enough for an agreement to prove anything."""
    return len(np.unique(values[:5000])) >= MIN_ROWS // 2

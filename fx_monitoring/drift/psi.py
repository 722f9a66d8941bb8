"""The population stability index: bins from the reference, the value, a table over features, and its bands.

Deciding what to do about a value belongs to the asset and the sensor, writing it down to report.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fx_assets.errors import DataError

Level = Literal["none", "minor", "moderate", "critical", "inconclusive"]

BINS = 10
#: Least share a bin is counted with on either side. Without it a bin that is empty on one side makes the
#: index infinite.
FLOOR = 1e-4
MINOR, MODERATE, CRITICAL = 0.10, 0.15, 0.25
METHOD = (
    f"psi over {BINS} quantile bins of the reference, repeated quantiles and missing values in bins of "
    f"their own, shares floored at {FLOOR:g}"
)

#: Points of each sample at which the two distribution functions are compared for the KS distance.
_KS_POINTS = 2_000

Floats = NDArray[np.float64]


def level(value: float) -> Level:
    """The band of a value: none < 0.1 <= minor < 0.15 <= moderate <= 0.25 < critical; NaN: inconclusive."""
    if np.isnan(value):
        return "inconclusive"
    if value > CRITICAL:
        return "critical"
    if value >= MODERATE:
        return "moderate"
    return "minor" if value >= MINOR else "none"


def quantile_edges(reference: ArrayLike, bins: int = BINS) -> Floats:
    """Inner bin edges, ascending: a value x falls into the bin numbered by how many edges are <= x.

    reference: 1-d, any order; NaN and infinities are left out (they have a bin of their own, see `psi`).
    Edges are the inner quantiles 1/bins .. (bins-1)/bins. A value that fills a whole quantile step (a
    constant feature, a flag, an indicator that is mostly zero) is taken out into a bin holding only itself,
    by two neighbouring edges, so that a move away from it to either side shows. No finite value gives no
    edges: one bin.
    Raises ValueError if bins < 2.
    """
    return _edges_of_sorted(_sorted_finite(_floats(reference)), bins)


def psi(reference: ArrayLike, current: ArrayLike, bins: int = BINS) -> float:
    """Population stability index of `current` against `reference`; 0 for equal distributions, no upper limit.

    reference, current: 1-d, any order and length. NaN and infinities are counted in one extra bin, so a feed
    that stops filling a feature is drift. With e_i and a_i the reference's and the current share of bin i,
    each raised to at least 0.0001:  PSI = sum_i (a_i - e_i) * ln(a_i / e_i).
    Under no drift the expected value is about bins * (1/n + 1/m) for n and m rows: 0.02 at 500 rows, which is
    why fewer rows are called inconclusive.
    Raises ValueError if either side has no rows.
    Sources: Siddiqi (2006), "Credit Risk Scorecards", for the index and its bands (it is Jeffreys' (1946)
    symmetric divergence); Yurdakul (2018), "Statistical Properties of Population Stability Index", for the
    expected value.
    """
    expected, actual = _floats(reference), _floats(current)
    if not len(expected) or not len(actual):
        side = "reference" if not len(expected) else "current"
        raise ValueError(f"psi: the {side} sample has no rows; the index needs at least one on each side.")
    return _psi_of_sorted(_sorted_finite(expected), _sorted_finite(actual), len(expected), len(actual), bins)


def psi_table(reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """PSI, KS distance and missing shares of each feature, in the order of `features`.

    reference, current: frames with a numeric or boolean column per feature; rows in any order.
    Returns columns feature, psi, ks (largest distance of the two distribution functions, 0 to 1, over at most
    2,000 evenly spaced order statistics of each sample, so exact up to 2,000 rows and within 0.0005 above;
    NaN if a side has only missing values), missing_share_ref, missing_share_cur (0 to 1), level.
    Raises DataError if a feature is not in a frame or a frame has no rows.
    """
    for name, frame in (("reference", reference), ("current", current)):
        absent = [feature for feature in features if feature not in frame.columns]
        if absent:
            names = ", ".join(absent[:5]) + (" and more" if len(absent) > 5 else "")
            raise DataError(
                f"drift: the {name} frame has no column {names}. "
                "Materialize it with the features the model was trained on."
            )
        if frame.empty:
            raise DataError(f"drift: the {name} frame has no rows. Materialize it for a longer span.")
    rows = []
    for feature in features:
        expected, actual = _column(reference, feature), _column(current, feature)
        expected_sorted, actual_sorted = _sorted_finite(expected), _sorted_finite(actual)
        value = _psi_of_sorted(expected_sorted, actual_sorted, len(expected), len(actual), BINS)
        rows.append(
            {
                "feature": feature,
                "psi": value,
                "ks": _ks_of_sorted(expected_sorted, actual_sorted),
                "missing_share_ref": 1 - len(expected_sorted) / len(expected),
                "missing_share_cur": 1 - len(actual_sorted) / len(actual),
                "level": level(value),
            }
        )
    columns = ["feature", "psi", "ks", "missing_share_ref", "missing_share_cur", "level"]
    return pd.DataFrame(rows, columns=columns)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64).ravel()


def _column(frame: pd.DataFrame, feature: str) -> Floats:
    return frame[feature].to_numpy(dtype=np.float64, na_value=np.nan)


def _sorted_finite(values: Floats) -> Floats:
    return np.sort(values[np.isfinite(values)])


def _edges_of_sorted(ordered: Floats, bins: int) -> Floats:
    if bins < 2:
        raise ValueError(f"bins: {bins} is too few; the index needs at least 2.")
    if not len(ordered):
        return np.empty(0)
    quantiles = np.quantile(ordered, np.linspace(0, 1, bins + 1))
    repeated = quantiles[1:][np.diff(quantiles) == 0]
    return np.unique(np.concatenate([quantiles[1:-1], repeated, np.nextafter(repeated, np.inf)]))


def _shares(ordered: Floats, rows: int, edges: Floats) -> Floats:
    """Share of each bin, the missing values' bin last. Sorted input: one search per edge, not one per row."""
    cuts = np.concatenate([[0], np.searchsorted(ordered, edges, side="left"), [len(ordered)]])
    counts = np.append(np.diff(cuts), rows - len(ordered))
    return np.maximum(counts / rows, FLOOR)


def _psi_of_sorted(expected: Floats, actual: Floats, rows_ref: int, rows_cur: int, bins: int) -> float:
    edges = _edges_of_sorted(expected, bins)
    share_ref = _shares(expected, rows_ref, edges)
    share_cur = _shares(actual, rows_cur, edges)
    return float(np.sum((share_cur - share_ref) * np.log(share_cur / share_ref)))


def _ks_of_sorted(expected: Floats, actual: Floats) -> float:
    if not len(expected) or not len(actual):
        return float("nan")
    points = np.concatenate([_order_statistics(expected), _order_statistics(actual)])
    below_ref = np.searchsorted(expected, points, side="right") / len(expected)
    below_cur = np.searchsorted(actual, points, side="right") / len(actual)
    return float(np.max(np.abs(below_ref - below_cur)))


def _order_statistics(ordered: Floats) -> Floats:
    if len(ordered) <= _KS_POINTS:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, _KS_POINTS).astype(np.int64)]

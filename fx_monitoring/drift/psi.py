"""The population stability index and the figures beside it: bins from the reference, values, a table over features.

How much of a value is chance is chance.py's question, what to do about it decide.py's.
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

#: So many ranges of the reference beyond its ends a value is one that no market makes.
IMPLAUSIBLE = 3.0

#: Points of each sample at which the two distribution functions are compared for the KS distance.
_KS_POINTS = 2_000
#: Levels at which the two quantile functions are compared for the Wasserstein distance.
_LEVELS = (np.arange(1_000) + 0.5) / 1_000
#: Quartiles of a normal distribution are so many standard deviations apart.
_QUARTILES_APART = 1.3489795
COLUMNS = (
    "feature",
    "psi",
    "ks",
    "wasserstein",
    "missing_share_ref",
    "missing_share_cur",
    "outside",
    "implausible",
    "level",
)

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
    Under no drift the expected value is about (bins - 1) * (1/n + 1/m) for n and m independent rows: 0.02 at 500
    rows against 5,000, which is why fewer rows are called inconclusive.
    Raises ValueError if either side has no rows.
    Sources: Siddiqi (2006), "Credit Risk Scorecards", for the index and its bands (it is Jeffreys' (1946)
    symmetric divergence); Yurdakul (2018), "Statistical Properties of Population Stability Index", for the
    expected value.
    """
    expected, actual = _shares_of(reference, current, bins)
    return index_of(expected, actual)


def index_of(expected: Floats, actual: Floats) -> float:
    """The index of two lists of floored shares, bin by bin."""
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_table(reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Every figure of each feature, in the order of `features`.

    reference, current: frames with a numeric or boolean column per feature; rows in any order. The columns:
    psi, ks       the index, and the largest distance of the two distribution functions (0 to 1), over at most 2,000
                  evenly spaced order statistics of each sample: exact up to 2,000 rows, within 0.0005 above
    wasserstein   mean distance of the two quantile functions (the first Wasserstein distance) over 1,000 levels, in
                  robust standard deviations of the reference (see `robust_scale`)
    missing_share_ref, missing_share_cur  0 to 1
    outside       share of the current rows beyond the reference's smallest and largest value; infinite ones too
    implausible   share beyond them by more than three times what they are apart; 0 where they are equal
    level         the band of psi
    ks and wasserstein are NaN where a side has only missing values, or the scale is 0 and they are not equal.
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
    rows = [(feature, *_figures(_column(reference, feature), _column(current, feature))) for feature in features]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def robust_scale(ordered: Floats) -> float:
    """A standard deviation that outliers do not move: the distance of the quartiles over 1.349, as of a normal
    distribution; the plain one where half the values are equal. ordered: finite and ascending.
    """
    if not len(ordered):
        return 0.0
    low, high = np.quantile(ordered, [0.25, 0.75])
    return float(high - low) / _QUARTILES_APART or float(ordered.std())


def kl_divergence(reference: ArrayLike, current: ArrayLike, bins: int = BINS) -> float:
    """Kullback-Leibler divergence of `current` from `reference` in nats, over the bins of `psi`.

    KL = sum_i a_i * ln(a_i / e_i), with the current shares a_i and the reference's e_i raised to at least 0.0001: the
    plug-in estimate over ten quantile bins of the reference. Never much below 0, which only the floor can cause.
    Raises ValueError if either side has no rows. Source: Kullback and Leibler (1951).
    """
    expected, actual = _shares_of(reference, current, bins)
    return float(np.sum(actual * np.log(actual / expected)))


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


def _shares_of(reference: ArrayLike, current: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    expected, actual = _floats(reference), _floats(current)
    if not len(expected) or not len(actual):
        side = "reference" if not len(expected) else "current"
        raise ValueError(f"psi: the {side} sample has no rows; the index needs at least one on each side.")
    ordered = _sorted_finite(expected)
    edges = _edges_of_sorted(ordered, bins)
    return _shares(ordered, len(expected), edges), _shares(_sorted_finite(actual), len(actual), edges)


def _figures(expected: Floats, actual: Floats) -> tuple[float | str, ...]:
    """The figures of one feature in the order of COLUMNS; each side is sorted once for all of them."""
    ordered, found = _sorted_finite(expected), _sorted_finite(actual)
    edges = _edges_of_sorted(ordered, BINS)
    value = index_of(_shares(ordered, len(expected), edges), _shares(found, len(actual), edges))
    infinite = int(np.isinf(actual).sum())
    outside = implausible = infinite / len(actual)
    if len(ordered):
        low, high = ordered[0], ordered[-1]
        far = IMPLAUSIBLE * (high - low)
        outside += _beyond(found, low, high) / len(actual)
        if far:
            implausible += _beyond(found, low - far, high + far) / len(actual)
    return (
        value,
        _ks_of_sorted(ordered, found),
        _wasserstein_of_sorted(ordered, found),
        1 - len(ordered) / len(expected),
        1 - (len(found) + infinite) / len(actual),
        outside,
        implausible,
        level(value),
    )


def _beyond(ordered: Floats, low: float, high: float) -> int:
    below = np.searchsorted(ordered, low, side="left")
    return int(below + len(ordered) - np.searchsorted(ordered, high, side="right"))


def _wasserstein_of_sorted(expected: Floats, actual: Floats) -> float:
    if not len(expected) or not len(actual):
        return float("nan")
    distance = float(np.mean(np.abs(_quantiles(expected) - _quantiles(actual))))
    if distance == 0:
        return 0.0
    return distance / scale if (scale := robust_scale(expected)) else float("nan")


def _quantiles(ordered: Floats) -> Floats:
    """The sample's quantile function (a step function) at the levels."""
    return ordered[(_LEVELS * len(ordered)).astype(np.int64)]


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

"""Sample weights: labels whose lives overlap say partly the same, and old ones less than new ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.blocks import time_us

DAY_US = 86_400_000_000


def average_uniqueness(first: np.ndarray, last: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
    """Average uniqueness of each label, from bar numbers: the mean over its life of 1 / (labels alive at that moment).

    first, last: int64 (n,), any order: the life is [first, last) in bars, or [edges[first], edges[last]) in time.
    edges: int64 (m,), strictly ascending, such as the bars' closes in microseconds; without it every bar counts the
        same, so that nights and weekends without bars count nothing.
    Returns float64 (n,) in (0, 1]. A value depends on the labels that overlap with it only, to the last bit.
    Raises ValueError where a label does not end after it begins, or lies outside the edges. One instrument at a time.
    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, section 4.4.
    """
    from fx_assets.labels.weight_kernels import mean_share

    first, last = np.ascontiguousarray(first, np.int64), np.ascontiguousarray(last, np.int64)
    if not len(first):
        return np.empty(0)
    if edges is None:
        if (lowest := int(first.min())) < 0:
            raise ValueError(f"a label begins at bar {lowest}. Count bars from zero.")
        edges = np.arange(int(last.max()) + 1)
    edges = np.ascontiguousarray(edges, np.int64)
    shortest = int((last - first).min())
    if shortest <= 0:
        row = int(np.flatnonzero(last <= first)[0])
        raise ValueError(f"label {row} does not end after its start. Drop rows without a label first.")
    if int(first.min()) < 0 or int(last.max()) >= len(edges):
        raise ValueError(f"labels lie in bars {first.min()} to {last.max()} of {len(edges)} edges. Pass every edge.")
    return mean_share(first, last, edges)


def uniqueness_weights(label_start: np.ndarray, label_end: np.ndarray) -> np.ndarray:
    """Average uniqueness of each label, from the times at which it begins and ends.

    label_start, label_end: datetime64 or int64 (n,), half-open lives [start, end), any order; pass one
        instrument at a time. Returns float64 (n,) in (0, 1]; 1 for a label that overlaps no other.
    Raises ValueError where a label does not end after its start (missing ends included).
    """
    start, end = _integers(label_start), _integers(label_end)
    if np.any(end <= start):
        row = int(np.flatnonzero(end <= start)[0])
        raise ValueError(f"label {row} does not end after its start. Drop rows without a label first.")
    if not len(start):
        return np.empty(0)
    from fx_assets.labels.weight_kernels import mean_share, positions

    order = None if bool((start[1:] >= start[:-1]).all()) else np.argsort(start, kind="stable")
    if order is not None:
        start, end = start[order], end[order]
    edges, first, last = positions(start, end, np.sort(end))
    weights = mean_share(first, last, edges)
    if order is None:
        return weights
    out = np.empty(len(weights))
    out[order] = weights
    return out


def sample_weights(rows: pd.DataFrame, half_life_days: float | None = None) -> np.ndarray:
    """What each row of a training set weighs: its average uniqueness, halved with every half life of its age.

    rows: instrument, decision_time and label_end (tz-aware), none missing; any order, any number of instruments.
    half_life_days: days of the calendar; None: all ages weigh the same. Age counts back from the newest decision.
    Returns float64 (n,) in (0, 1]. Raises ValueError as uniqueness_weights, and for a half life that is not positive.
    """
    if half_life_days is not None and not half_life_days > 0:
        raise ValueError(f"half_life_days: {half_life_days} is not positive. Pass days, or None for no decay.")
    start, end = time_us(rows["decision_time"]), time_us(rows["label_end"])
    codes, _ = pd.factorize(rows["instrument"])
    weights = np.empty(len(rows))
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        weights[own] = uniqueness_weights(start[own], end[own])
    if half_life_days is not None and len(rows):
        age_days = (start.max() - start) / DAY_US
        weights *= 0.5 ** (age_days / half_life_days)
    return weights


def _integers(moments: np.ndarray) -> np.ndarray:
    values = np.asarray(moments)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64)
    return values.astype(np.int64)

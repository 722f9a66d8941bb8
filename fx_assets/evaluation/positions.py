"""From predictions to positions: which side, from which confidence on, and how large."""

from __future__ import annotations

import numpy as np

SIZING = ("unit", "confidence", "volatility")
FULL_AT = 0.2  # confidence sizing: a probability this far above the threshold takes the whole position
_WAY, _SIDED = ("direction", "triple_barrier", "return"), ("large_move", "meta")


def positions(
    kind: str,
    prediction: np.ndarray,
    threshold: float = 0.5,
    *,
    side: np.ndarray | None = None,
    volatility: np.ndarray | None = None,
    usual: np.ndarray | None = None,
    sizing: str = "unit",
) -> np.ndarray:
    """Positions as shares of an instrument's capital, float64 (n,) in [-1, 1]; 0 where nothing is done.

    kind: the label's. direction, triple_barrier and return: prediction is the probability p of a rise; long where it
    exceeds the threshold, short where 1 - p does. large_move and meta: the given `side` (-1, 0, 1 (n,), known at the
    decision) where p exceeds it, as these labels do not say which way.
    volatility: standard deviation of one held return, known at the decision (n,). sizing: "unit" takes all or
    nothing, "confidence" grows from 0.25 at the threshold to 1 FULL_AT above it, "volatility" takes usual /
    volatility, at most 1, where `usual` is the volatility of a longer past.
    A missing prediction, side or volatility is no position.
    Raises ValueError for an unknown kind or sizing, a threshold outside [0.5, 1), and a lacking side or volatility.
    """
    if sizing not in SIZING:
        raise ValueError(f"sizing {sizing!r} is not one of {', '.join(SIZING)}.")
    if not 0.5 <= threshold < 1.0:
        raise ValueError(f"threshold {threshold} is outside 0.5 to 1. It is the probability from which on one acts.")
    given = np.asarray(prediction, float)
    if kind in _SIDED:
        if side is None:
            raise ValueError(f"label kind {kind!r} does not say which way. Give the side of each row.")
        confidence, way = given, np.nan_to_num(np.sign(np.asarray(side, float)))
    elif kind in _WAY:
        confidence, way = np.maximum(given, 1.0 - given), np.nan_to_num(np.sign(given - 0.5))
    else:
        raise ValueError(f"label kind {kind!r} has no positions. Use one of {', '.join(_WAY + _SIDED)}.")
    taken = np.where(confidence > threshold, way, 0.0)
    if sizing == "confidence":
        taken = taken * np.clip(0.25 + 0.75 * (np.nan_to_num(confidence) - threshold) / FULL_AT, 0.0, 1.0)
    elif sizing == "volatility":
        if volatility is None or usual is None:
            raise ValueError(
                "sizing 'volatility' needs each row's volatility, now and as usual. Use trailing_volatility."
            )
        now, long = np.asarray(volatility, float), np.asarray(usual, float)
        taken = taken * np.nan_to_num(np.clip(np.divide(long, now, out=np.zeros(len(now)), where=now > 0), 0.0, 1.0))
    return taken


def trailing_volatility(
    forward_return: np.ndarray, end: np.ndarray, time: np.ndarray, instrument: np.ndarray, count: int = 100
) -> np.ndarray:
    """Root mean square of the last `count` returns that were complete at each row's decision, float64 (n,).

    forward_return: log returns (n,) from time to end, datetime64 UTC; any order. NaN with fewer than 20 of them.
    """
    forward, out = np.asarray(forward_return, float), np.full(len(forward_return), np.nan)
    names = np.asarray(instrument, dtype=str)
    ends, times = np.asarray(end).astype("datetime64[us]"), np.asarray(time).astype("datetime64[us]")
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        done = rows[np.argsort(ends[rows], kind="stable")]
        total = np.concatenate([[0.0], np.cumsum(forward[done] ** 2)])
        known = np.searchsorted(ends[done], times[rows], side="right")
        first = np.maximum(known - count, 0)
        enough = known - first >= 20
        mean = (total[known] - total[first]) / np.maximum(known - first, 1)
        out[rows] = np.where(enough, np.sqrt(np.maximum(mean, 0.0)), np.nan)
    return out

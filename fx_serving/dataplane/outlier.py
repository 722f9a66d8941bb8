"""How unlike the training rows an input is. The profile is part of the bundle; no training data is needed."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np

from fx_serving.client.bundle import OUTLIER, BundleError, read_outlier

_FARTHEST = 10.0  # scales from the centre: one wild feature must not hide that all the others are ordinary


class Outlier:
    """Scores rows against the training rows' centre, scale, and distribution of distances."""

    __slots__ = ("_center", "_inverse", "_quantiles", "_room", "_width")

    def __init__(self, center: list[float], scale: list[float], quantiles: list[float]) -> None:
        self._center = np.array(center, np.float64)
        self._inverse = 1.0 / np.array(scale, np.float64)
        self._quantiles = quantiles
        self._width = len(center)
        self._room = np.empty(self._width)

    def score(self, row: np.ndarray) -> float:
        """The share of training rows less unlike the training data than this row (float32 (1, n)): 0 to 1."""
        room = self._room
        np.subtract(row[0], self._center, out=room)
        np.multiply(room, self._inverse, out=room)
        np.minimum(room, _FARTHEST, out=room)
        np.maximum(room, -_FARTHEST, out=room)
        distance = float(room @ room) / self._width
        quantiles = self._quantiles
        last = len(quantiles) - 1
        at = bisect_right(quantiles, distance)
        if at == 0:
            return 0.0
        if at > last:
            return 1.0
        lower, upper = quantiles[at - 1], quantiles[at]
        return (at - 1 + (distance - lower) / (upper - lower)) / last


def load_outlier(folder: Path, listed: bool, width: int) -> Outlier | None:
    """The profile of the bundle in `folder`; None where its manifest lists none. Raises BundleError."""
    if not listed:
        return None
    found = read_outlier(folder)
    if not len(found.center) == len(found.scale) == width:
        raise BundleError(f"{folder / OUTLIER}: is of {len(found.center)} features, the manifest names {width}.")
    return Outlier(found.center, found.scale, found.quantiles)

"""Currency triangles: EUR_USD times USD_JPY must be EUR_JPY."""

from __future__ import annotations

import numpy as np

from fx_assets.quality.bars import Bars, Grid


def cross_rates(bars: Bars, used: np.ndarray) -> np.ndarray:
    """Rows whose close disagrees by more than cross_rate_tolerance (relative) with the two others of a triangle.

    Which of the three is wrong cannot be told from one triangle: all three are marked, except those that another
    triangle confirms at the same time.
    """
    bad = np.zeros(len(bars), dtype=bool)
    if not bars.market.triangles:
        return bad
    for grid in bars.grids:
        place = {int(n): at for at, n in enumerate(grid.instruments)}
        inside = [t for t in bars.market.triangles if all(m in place for m in t.members)]
        if inside:
            grid.gather(_broken(bars, grid, used, [([place[m] for m in t.members], t.signs) for t in inside]), bad)
    return bad


def _broken(bars: Bars, grid: Grid, used: np.ndarray, triangles: list) -> np.ndarray:
    close = np.log(grid.spread(bars.values["close"], used))
    accused, confirmed = np.zeros(grid.shape, dtype=bool), np.zeros(grid.shape, dtype=bool)
    tolerance = bars.market.limits.cross_rate_tolerance
    with np.errstate(invalid="ignore"):
        for members, signs in triangles:
            off = np.abs(sum(sign * close[:, at] for at, sign in zip(members, signs, strict=True)))
            for at in members:
                accused[:, at] |= off > tolerance
                confirmed[:, at] |= off <= tolerance
    guilty = accused & ~confirmed
    # Where every member is confirmed by something else, the contradiction is still there.
    return np.where(guilty.any(axis=1, keepdims=True), guilty, accused)

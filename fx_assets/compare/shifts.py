"""Whether all rows of the old side lie a constant time beside those of the new one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fx_assets.compare.causes import MIN_ROWS, PROOF
from fx_assets.compare.equality import equal_numbers
from fx_assets.compare.mapping import Tolerance

MINUTE = 60_000_000
_SAMPLE = 2000
_FOUND = 0.9  # of the shifted rows that have a partner: either side may lack some


class _Rows:
    """Rows as one sorted number each: what they are about, then the time in microseconds."""

    def __init__(self, old: pd.DataFrame, new: pd.DataFrame, key: tuple[str, ...], names: list[str]):
        rest = [pd.concat([old[name], new[name]]).astype(str) for name in key[1:]]
        about = pd.factorize(pd.MultiIndex.from_arrays(rest))[0] if rest else np.zeros(len(old) + len(new), "int64")
        clock = np.concatenate([side[key[0]].astype("int64").to_numpy() for side in (old, new)])
        clock -= clock.min()
        self.width = int(clock.max()) + 1
        self.fits = self.width * (int(about.max()) + 1) < 2**61
        self.about, self.clock, self.split = about.astype("int64"), clock, len(old)
        packed = self.about[self.split :] * 2 * self.width + clock[self.split :]
        self.order = np.argsort(packed, kind="stable")
        self.packed = packed[self.order]
        self.old = {name: old[name].to_numpy("float64") for name in names}
        self.new = {name: new[name].to_numpy("float64")[self.order] for name in names}
        self.first, self.last = int(clock[self.split :].min()), int(clock[self.split :].max())

    def step(self) -> int:
        """The usual distance of two times of the new side."""
        times = np.unique(self.clock[self.split :])
        return int(np.median(times[1:] - times[:-1])) if len(times) > 1 else 0

    def agree(self, shift: int, picked: np.ndarray, tolerances: Mapping[str, Tolerance]) -> tuple[int, float]:
        """With old = new + shift: how many columns agree in nearly every row, and the share of rows with a partner."""
        there = self.clock[picked] - shift
        inside = (there >= self.first) & (there <= self.last)
        rows, there = picked[inside], there[inside]
        if len(rows) < MIN_ROWS:
            return 0, 0.0
        wanted = self.about[rows] * 2 * self.width + there
        at = np.minimum(np.searchsorted(self.packed, wanted), len(self.packed) - 1)
        hit = self.packed[at] == wanted
        if hit.sum() < MIN_ROWS or hit.mean() < _FOUND:
            return 0, float(hit.mean())
        rows, at = rows[hit], at[hit]
        agreed = (equal_numbers(self.old[n][rows], self.new[n][at], tolerances[n]).mean() >= PROOF for n in self.old)
        return sum(agreed), float(hit.mean())


def time_shift(
    old: pd.DataFrame, new: pd.DataFrame, key: tuple[str, ...], tolerances: Mapping[str, Tolerance]
) -> str | None:
    """The shift in words; None where none is proved. tolerances: of the columns with figures that both sides have."""
    names = [name for name in tolerances if new[name].iloc[:5000].nunique() >= MIN_ROWS // 2]
    if min(len(old), len(new)) < MIN_ROWS or not names:
        return None
    rows = _Rows(old, new, key, names)
    if not rows.fits:
        return None
    every = np.arange(len(old))
    picked = every[:: max(1, len(old) // _SAMPLE)]
    unshifted, _ = rows.agree(0, picked, tolerances)
    step = rows.step()
    sizes = {minutes * MINUTE for minutes in (*range(1, 60), *range(60, 27 * 60, 30))} | {step, 2 * step, 3 * step}
    tried = sorted((size * sign for size in sizes if 0 < size < rows.width for sign in (1, -1)), key=abs)
    best = max(tried, key=lambda shift: rows.agree(shift, picked, tolerances), default=0)
    agreed, _ = rows.agree(best, every, tolerances)
    if not best or agreed <= unshifted or 2 * agreed < len(names):
        return None
    minutes = abs(best) // MINUTE
    size = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
    direction = "later" if best > 0 else "earlier"
    if abs(best) == step:
        labels = f"the {'old' if best > 0 else 'new'} system labels bars by their close, the other by their open"
        zone = " (or a time zone is not the same)" if minutes % 30 == 0 else ""
        return f"old times are one bar ({size}) {direction}: {labels}{zone}"
    return f"old times are {size} {direction} than the new ones: a time zone or a label is not the same"

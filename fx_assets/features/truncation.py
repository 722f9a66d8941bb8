"""What catches look-ahead: what was known at a row must not change when later rows arrive.

Only the comparison is in here, with no feature's name in it; the tests and the asset check `no_lookahead` share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.features.blocks import MINUTE_US, time_us

KEYS = ["instrument", "time"]
Function = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Difference:
    """The first row at which a column is not the same. value: with all rows; alone: with fewer of them."""

    column: str
    instrument: str
    time: pd.Timestamp
    value: float
    alone: float

    @property
    def words(self) -> str:
        """For people: what, where, and both values."""
        return f"{self.column} of {self.instrument} at {self.time} is {self.alone!r}, with all rows {self.value!r}"


def differences(whole: pd.DataFrame, part: pd.DataFrame) -> Iterator[Difference]:
    """Every column's first difference, to the last bit, in the rows that `part` has.

    whole, part: instrument, time and float columns, any row order; what is missing in both is the same.
    Raises ValueError when the columns are not the same, or `whole` has not all rows of `part`.
    """
    names = [name for name in whole.columns if name not in KEYS]
    if names != (found := [name for name in part.columns if name not in KEYS]):
        raise ValueError(f"columns {found} are not {names}")
    left, right = whole[names].to_numpy(float), part[names].to_numpy(float)
    if not _same_keys(whole, part):
        at = pd.MultiIndex.from_frame(whole[KEYS]).get_indexer(pd.MultiIndex.from_frame(part[KEYS]))
        if len(at) and int(at.min()) < 0:
            row = part.iloc[int(np.argmin(at))]
            raise ValueError(f"{row['instrument']} at {row['time']} is not among all rows")
        left = left[at]
    differs = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    for column in np.flatnonzero(differs.any(axis=0)):
        row = int(np.argmax(differs[:, column]))
        instrument, time = part["instrument"].iloc[row], part["time"].iloc[row]
        values = float(left[row, column]), float(right[row, column])
        yield Difference(str(names[column]), str(instrument), time, *values)


def _same_keys(whole: pd.DataFrame, part: pd.DataFrame) -> bool:
    """Whether both have the same rows in the same order: looked at first, because names are slow to look up."""
    return (
        len(whole) == len(part)
        and np.array_equal(time_us(whole["time"]), time_us(part["time"]))
        and np.array_equal(whole["instrument"].to_numpy(), part["instrument"].to_numpy())
    )


def known_us(frame: pd.DataFrame, minutes: Mapping[str, int] | None = None) -> np.ndarray:
    """When each row is known: its time and the length of its instrument's bar; microseconds since 1970, UTC.

    minutes: length of a bar by instrument; without it, `time`, as if all bars were of one length.
    """
    time = time_us(frame["time"])
    if minutes is None:
        return time
    codes, names = pd.factorize(frame["instrument"])
    return time + np.array([minutes[name] for name in names], dtype=np.int64)[codes] * MINUTE_US


def assert_no_lookahead(
    function: Function, bars: pd.DataFrame, cuts: Iterable[int], minutes: Mapping[str, int] | None = None
) -> None:
    """Compare the result on all bars with the result on the bars known when the `cut`-th is, bit for bit.

    function: bars -> frame with instrument, time and float columns.
    bars: any instruments; cut in the order in which they become known (see known_us), so every instrument loses its own
        future, and that of the others. The cut never falls between bars that become known together.
    minutes: length of a bar by instrument, where these are not the same: a longer bar that still runs is cut off then.
    Raises AssertionError naming the first column, instrument and time that changed.
    """
    ordered = bars.sort_values(["time", "instrument"], kind="stable")
    whole, known = function(ordered), known_us(ordered, minutes)
    in_turn = np.sort(known)
    for cut in cuts:
        seen = ordered[known <= in_turn[cut - 1]] if cut else ordered.iloc[:0]
        _assert_same(whole, function(seen), f"cut at row {cut}")


def assert_start_independent(function: Function, bars: pd.DataFrame, drops: Iterable[int], window: int) -> None:
    """Compare with the result when an instrument's first `drop` bars are missing, from `window` bars on."""
    whole = function(bars)
    for drop in drops:
        later = bars.loc[(bars.groupby("instrument").cumcount() >= drop).to_numpy()]
        result = function(later)
        settled = result.groupby("instrument").cumcount() >= window - 1
        _assert_same(whole, result.loc[settled.to_numpy()], f"first {drop} rows dropped")


def _assert_same(whole: pd.DataFrame, part: pd.DataFrame, what: str) -> None:
    try:
        found = next(differences(whole, part), None)
    except ValueError as error:
        raise AssertionError(f"{what}: {error}") from error
    if found is not None:
        raise AssertionError(f"{what}: {found.words}")

"""Counting over stretches of a table: what stays in memory of the rows once they have been compared."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from fx_assets.compare.causes import PARTNERS, column_cause
from fx_assets.compare.equality import equal, same_kind
from fx_assets.compare.mapping import Tolerance
from fx_assets.compare.result import Cause, ColumnFound, Example, Side
from fx_assets.compare.shifts import time_shift
from fx_assets.compare.spool import SIDES

EXAMPLES = 3
_ENTITIES = 200  # instruments of which each is looked at alone, where no cause holds for all of them
_KEPT = 100_000  # distances that a column's median is taken of: all up to here, then evenly spaced ones


class ColumnTally:
    """One column over the rows in both."""

    def __init__(self, name: str):
        self.name = name
        self.rows = self.same = self.missing_old = self.missing_new = 0
        self.largest: float | None = None
        self.apart: list[np.ndarray] = []
        self.examples: list[Example] = []
        self.types: dict[str, str] = {}
        self.comparable = True

    def add(self, keys: pd.DataFrame, old: pd.Series, new: pd.Series, tolerance: Tolerance) -> np.ndarray | None:
        """Rows of one stretch; returns which are equal, None where the two are not the same kind of value."""
        self.rows += len(old)
        pair = same_kind(old, new)
        if pair is None:
            self.comparable = False
            self._show(keys, old, new, np.zeros(len(old), dtype=bool))
            return None
        same, apart = equal(*pair, tolerance)
        self.same += int(same.sum())
        self.missing_old += int((pair[0].isna() & pair[1].notna()).sum())
        self.missing_new += int((pair[1].isna() & pair[0].notna()).sum())
        if len(apart):
            self.largest = max(self.largest or 0.0, float(apart.max()))
            self.apart.append(np.sort(apart)[:: len(apart) // _KEPT + 1])
            if sum(map(len, self.apart)) > 2 * _KEPT:
                self.apart = [np.sort(np.concatenate(self.apart))[::2]]
        self._show(keys, old, new, same)
        return same

    def _show(self, keys: pd.DataFrame, old: pd.Series, new: pd.Series, same: np.ndarray) -> None:
        for row in np.flatnonzero(~same)[: EXAMPLES - len(self.examples)]:
            self.examples.append(Example(shown(keys.iloc[[row]])[0], str(old.iloc[row]), str(new.iloc[row])))

    def found(self) -> ColumnFound:
        """The counts so far."""
        median = float(np.median(np.concatenate(self.apart))) if self.apart else None
        return ColumnFound(
            name=self.name,
            old_type=self.types["old"],
            new_type=self.types["new"],
            rows=self.rows,
            equal=self.same,
            missing_old=self.missing_old,
            missing_new=self.missing_new,
            largest=self.largest,
            median=median,
            examples=self.examples,
            comparable=self.comparable,
        )


class TableTally:
    """One table. tolerances: of the columns that both sides have and that are no part of the key."""

    def __init__(self, key: tuple[str, ...], tolerances: dict[str, Tolerance]):
        self.key, self.tolerances = key, tolerances
        self.both = 0
        self.columns = {name: ColumnTally(name) for name in tolerances}
        self._rows, self._repeated, self._only = Counter(), Counter(), Counter()
        self._examples: dict[str, list[dict[str, str]]] = {side: [] for side in SIDES}
        self._causes: Counter[tuple[str, str, str | None]] = Counter()

    def add(self, old: pd.DataFrame, new: pd.DataFrame) -> None:
        """The rows of one stretch."""
        key = list(self.key)
        ids, count = _identities(old, new, key)
        for side, frame, own in zip(SIDES, (old, new), ids, strict=True):
            self._rows[side] += len(frame)
            self._repeated[side] += int(frame.duplicated(key).sum())
            alone = ~np.isin(own, ids[1 - SIDES.index(side)])
            self._only[side] += int(alone.sum())
            wanted = EXAMPLES - len(self._examples[side])
            self._examples[side] += shown(frame.loc[alone, key].sort_values(key).head(wanted))
        place = np.full(count, -1)
        place[ids[1]] = np.arange(len(new))
        at = np.where(np.isin(ids[0], ids[1]), place[ids[0]], -1)
        rows, partners = np.flatnonzero(at >= 0), at[at >= 0]
        self.both += len(rows)
        order = old.iloc[rows].reset_index(drop=True).sort_values([*key[1:], key[0]], kind="stable").index
        a = old.iloc[rows[order]].reset_index(drop=True)
        b = new.iloc[partners[order]].reset_index(drop=True)
        same = {n: self.columns[n].add(a[key], a[n], b[n], t) for n, t in self.tolerances.items()}
        differing = {n: flags for n, flags in same.items() if flags is not None and not flags.all()}
        if differing or len(rows) < max(len(old), len(new)):
            self._explain(old, new, a, b, differing)

    def _explain(
        self, old: pd.DataFrame, new: pd.DataFrame, a: pd.DataFrame, b: pd.DataFrame, differing: dict[str, np.ndarray]
    ) -> None:
        figures = {n: t for n, t in self.tolerances.items() if _figures(old, new, n)}
        if shift := time_shift(old, new, self.key, figures):
            self._causes[("time shift", shift, None)] += len(old)
            return  # row by row, nothing else can be proved
        rest = [a[name].astype(str) for name in self.key[1:]]
        entity, names = pd.factorize(pd.MultiIndex.from_arrays(rest)) if rest else (np.zeros(len(a), "int64"), [()])
        for name, same in differing.items():
            if name not in figures:
                continue
            partner = PARTNERS.get(name, name)
            left, right = a[name].to_numpy("float64"), b[name].to_numpy("float64")
            swapped = b[partner].to_numpy("float64") if partner in figures else right
            tolerance = self.tolerances[name]
            if found := column_cause(left, right, swapped, same, entity, tolerance):
                self._causes[(*found, name)] += int((~same).sum())
                continue
            affected = np.unique(entity[~same])
            for number in affected[:_ENTITIES] if len(names) > 1 else ():
                own = entity == number
                found = column_cause(left[own], right[own], swapped[own], same[own], entity[own], tolerance)
                if found is not None:
                    kind, words = found
                    self._causes[(kind, f"{words}, in {', '.join(names[number])}", name)] += int((~same[own]).sum())

    def side(self, side: str, rows: int, span: tuple[pd.Timestamp, pd.Timestamp] | None) -> Side:
        """One side's counts. rows, span: of all that was read of it."""
        return Side(
            rows=self._rows[side],
            outside=rows - self._rows[side],
            first=span[0].isoformat() if span else None,
            last=span[1].isoformat() if span else None,
            repeated_keys=self._repeated[side],
            only=self._only[side],
            only_examples=self._examples[side],
        )

    def causes(self) -> list[Cause]:
        """What was proved, the most rows first."""
        return [Cause(kind, words, column, rows) for (kind, words, column), rows in self._causes.most_common()]


def shown(keys: pd.DataFrame) -> list[dict[str, str]]:
    """Keys as people read them."""
    return [
        {str(name): value.isoformat() if isinstance(value, pd.Timestamp) else str(value) for name, value in row.items()}
        for row in keys.to_dict("records")
    ]


def _identities(old: pd.DataFrame, new: pd.DataFrame, key: list[str]) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """A number for each row, equal on both sides for the same key; the n-th of a repeated key meets the n-th."""
    both = pd.concat([old[key], new[key]], ignore_index=True)
    both["side"] = np.repeat([0, 1], [len(old), len(new)])
    both["turn"] = both.groupby([*key, "side"], sort=False, dropna=False).cumcount()
    numbers = both.groupby([*key, "turn"], sort=False, dropna=False).ngroup().to_numpy()
    return (numbers[: len(old)], numbers[len(old) :]), int(numbers.max(initial=-1)) + 1


def _figures(old: pd.DataFrame, new: pd.DataFrame, name: str) -> bool:
    return all(side[name].dtype.kind == "f" for side in (old, new))

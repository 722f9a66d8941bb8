"""Two systems' tables side by side: match them by name, bring both into the same terms, compare them in stretches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from pandas.api import types

from fx_assets.compare.mapping import Mapping, TableMap
from fx_assets.compare.normal import Terms, key_of, normal, old_names, with_path
from fx_assets.compare.places import Part, tables_in
from fx_assets.compare.read import chunks
from fx_assets.compare.result import Comparison, Side, TableFound
from fx_assets.compare.spool import SIDES, Spool
from fx_assets.compare.tally import TableTally
from fx_assets.errors import ConfigError, DataError
from fx_assets.storage import Store

Progress = Callable[[str, int, int], None]  # table, files read, files in all


@dataclass(frozen=True)
class Span:
    """What is asked for: first and last moment, both included; None for as far as both sides reach."""

    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None

    def parts(self, parts: list[Part]) -> list[Part]:
        """The files that may have rows in it."""
        first = self.first.date() if self.first is not None else None
        last = self.last.date() if self.last is not None else None
        return [part for part in parts if part.near(first, last)]


def moment(option: str, text: str | None, end: bool = False) -> pd.Timestamp | None:
    """A day (in UTC; with `end` its last microsecond) or a time with its offset. Raises ConfigError."""
    if text is None:
        return None
    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        stamp = pd.NaT
    day = len(text) == len("2021-03-01")
    if not isinstance(stamp, pd.Timestamp) or (stamp.tzinfo is None and not day):
        raise ConfigError(
            f"{option}: {text!r} is no day and no time with its offset. Write 2021-03-01 or 2021-03-01T12:00:00Z."
        )
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize("UTC")
        stamp += timedelta(days=1, microseconds=-1) if end else timedelta(0)
    return stamp.tz_convert("UTC")


def compare(
    old: Store,
    new: Store,
    mapping: Mapping,
    keys: Map[str, tuple[str, ...]],
    span: Span,
    only: Collection[str] = (),
    progress: Progress = lambda table, read, of: None,
) -> Comparison:
    """Every table that both have. keys: of the tables the platform knows. only: new names to be compared, all else.

    Raises ConfigError and DataError for what cannot be compared, with file, value and remedy.
    """
    there, here = tables_in(old), tables_in(new)
    for name, store, found in (("DIR_OLD", old, there), ("DIR_NEW", new, here)):
        if not found:
            raise DataError(f"{name}: {store.url}: no table in it (.csv, .ndjson, .parquet, also .gz). Check the path.")
    pairs = match(there, here, mapping, only, old.url, new.url)
    made = []
    for name, partner in pairs.items():
        made.append(_Table(old, new, name, partner, mapping, span).compared(there[partner], here[name], keys, progress))
    if only:
        return Comparison(old.url, new.url, made, [], [])
    lost = sorted(set(there) - set(pairs.values()) - set(mapping.ignore))
    return Comparison(old.url, new.url, made, lost, sorted(set(here) - set(pairs)))


def match(
    there: Collection[str], here: Collection[str], mapping: Mapping, only: Collection[str], old: str, new: str
) -> dict[str, str]:
    """By new name, the old name of each table that both have: as mapped, the same, or the same last part of it."""
    pairs = {}
    for name, told in mapping.tables.items():
        for side, known, wanted in ((new, here, name), (old, there, told.old)):
            if wanted is not None and wanted not in known:
                raise ConfigError(
                    f"mapping: tables.{name}: there is no table {wanted} in {side}; there are "
                    f"{', '.join(sorted(known))}. Mend the name, or remove it."
                )
        if told.old:
            pairs[name] = told.old
    for partner in sorted(set(there) - set(pairs.values()) - set(mapping.ignore)):
        last = [name for name in here if name.rpartition("/")[2] == partner.rpartition("/")[2]]
        fits = [partner] if partner in here else last
        if len(fits) > 1:
            raise ConfigError(
                f"{old}: table {partner} may be {' or '.join(sorted(fits))}. "
                f"Say which: --map {partner}={sorted(fits)[0]}"
            )
        if fits and fits[0] not in pairs:
            pairs[fits[0]] = partner
    if lost := sorted(set(mapping.tables) - set(pairs)):
        raise ConfigError(
            f"mapping: tables.{lost[0]}: no table of {old} has that name; there are {', '.join(sorted(there))}. "
            "Say which it is: old: NAME."
        )
    if unknown := sorted(set(only) - set(pairs)):
        raise ConfigError(
            f"--table: {unknown[0]}: not on both sides; {', '.join(sorted(pairs)) or 'none'} are. Mend it."
        )
    if not pairs:
        raise ConfigError(
            f"no table of {old} ({', '.join(sorted(there))}) has a name of {new} ({', '.join(sorted(here))}). "
            "Say what corresponds: --map OLD=NEW."
        )
    return {name: partner for name, partner in sorted(pairs.items()) if not only or name in only}


class _Table:
    """One pair of tables."""

    def __init__(self, old: Store, new: Store, name: str, partner: str, mapping: Mapping, span: Span):
        self.stores = {"old": old, "new": new}
        self.name, self.partner, self.mapping, self.span = name, partner, mapping, span
        self.mapped: TableMap = mapping.table(name)

    def compared(
        self, there: list[Part], here: list[Part], keys: Map[str, tuple[str, ...]], progress: Progress
    ) -> TableFound:
        """Read both sides, then compare them stretch by stretch."""
        heads = {"old": self._head("old", there), "new": self._head("new", here)}
        where, columns = f"{self.stores['new'].url}/{here[0].path}", [str(c) for c in heads["new"]]
        key = key_of(where, columns, self.mapped, keys.get(self.name))
        terms = self._terms(heads, key)
        parts = {"old": self.span.parts(there), "new": self.span.parts(here)}
        count = sum(map(len, parts.values()))
        with TemporaryDirectory(prefix="fx-compare-") as folder:
            spool = Spool(Path(folder), key[0])
            read = 0
            for side in ("new", "old"):
                for part in parts[side]:
                    progress(self.name, read, count)
                    for frame in self._rows(side, part, terms[side]):
                        spool.add(side, frame)
                    read += 1
            progress(self.name, count, count)
            return self._found(spool, key, heads, terms)

    def _head(self, side: str, parts: list[Part]) -> pd.DataFrame:
        """The first rows of a table, for its columns and types."""
        found = next(chunks(self.stores[side], parts[0]), pd.DataFrame())
        if not len(found.columns):
            raise DataError(f"{self.stores[side].url}/{parts[0].path}: is empty. Export it again, or remove it.")
        return with_path(found.head(1000), parts[0])

    def _terms(self, heads: Map[str, pd.DataFrame], key: tuple[str, ...]) -> dict[str, Terms]:
        stored = heads["new"]
        names = old_names([str(c) for c in heads["old"]], [str(c) for c in stored], self.mapped, key)
        if lost := [n for n in (e.old for e in self.mapped.columns.values()) if n and n not in heads["old"]]:
            raise ConfigError(
                f"mapping: tables.{self.name}.columns: the old table {self.partner} has no column {lost[0]}; it has "
                f"{', '.join(map(str, heads['old']))}. Mend the name."
            )
        typed = {names[str(c)] for c in heads["old"] if types.is_datetime64_any_dtype(heads["old"][c])}
        typed |= {str(c) for c in stored if types.is_datetime64_any_dtype(stored[c])}
        times = frozenset(typed | {key[0]})
        zone = self.mapped.time_zone or self.mapping.time_zone
        ignored = frozenset(self.mapped.ignore)
        return {
            "old": Terms(
                names,
                key,
                times,
                zone,
                self.mapped.time_unit,
                self.mapped.instrument,
                {name: entry.multiplier for name, entry in self.mapped.columns.items()},
                ignored,
            ),
            "new": Terms({}, key, times, zone, dropped=ignored),
        }

    def _rows(self, side: str, part: Part, terms: Terms) -> Iterator[pd.DataFrame]:
        where = f"{self.stores[side].url}/{part.path}"
        for frame in chunks(self.stores[side], part):
            yield normal(where, frame, part, terms)

    def _found(
        self, spool: Spool, key: tuple[str, ...], heads: Map[str, pd.DataFrame], terms: Map[str, Terms]
    ) -> TableFound:
        columns = {side: spool.columns(side) for side in SIDES}
        shared = [c for c in columns["new"] if c in columns["old"] and c not in key]
        tally = TableTally(key, {c: self.mapping.tolerance_of(self.name, c) for c in shared})
        for column in shared:
            tally.columns[column].types = {side: _stored_type(heads[side], terms[side], column) for side in SIDES}
        bounds = self._bounds(spool)
        if bounds is not None:
            for rows in spool.stretches():
                old, new = (side[side[key[0]].between(*bounds)].reset_index(drop=True) for side in rows)
                if len(old) or len(new):
                    tally.add(old, new)
        sides: dict[str, Side] = {}
        for side in SIDES:
            sides[side] = tally.side(side, spool.rows[side], spool.span.get(side))
        return TableFound(
            name=self.name,
            old_name=self.partner,
            key=list(key),
            compared=None if bounds is None else (bounds[0].isoformat(), bounds[1].isoformat()),
            old=sides["old"],
            new=sides["new"],
            both=tally.both,
            columns=[column.found() for column in tally.columns.values()],
            only_old_columns=[c for c in columns["old"] if c not in columns["new"]],
            only_new_columns=[c for c in columns["new"] if c not in columns["old"]],
            causes=tally.causes(),
        )

    def _bounds(self, spool: Spool) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """What is asked for, else where both sides have rows; None where there is no such time."""
        spans = [spool.span[side] for side in SIDES if side in spool.span]
        if not spans:
            return None
        both = len(spans) == len(SIDES)
        first = self.span.first or (max(span[0] for span in spans) if both else None)
        last = self.span.last or (min(span[1] for span in spans) if both else None)
        return None if first is None or last is None or first > last else (first, last)


def _stored_type(head: pd.DataFrame, terms: Terms, column: str) -> str:
    stored = next((str(c) for c in head if terms.names.get(str(c), str(c)) == column), None)
    return "text" if stored is None or head[stored].dtype == object else str(head[stored].dtype)

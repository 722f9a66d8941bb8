"""Which partitions are to be made: pure, from what each one is now and from how the tables depend on each other.

Nothing is read here. A partition is a cell of a table's row; rows are boolean arrays over the sessions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fx_assets.inputs import Input

MISSING, OUTDATED, BLOCKED, CURRENT = "missing", "outdated", "blocked", "current"
FETCH = "due"  # of a bronze session: an instrument lacks it, or it was fetched before it was over

Row = np.ndarray  # bool, one for each session


@dataclass(frozen=True)
class Work:
    """What is to be done in a range of sessions.

    tables: in the order they depend on each other, bronze first. due: what is to be made. missing: those of `due`
    that do not exist. refused: partitions with problems, on which nothing is built until what they were made of
    changes. blocked: those of the same session that would be built on them; an older version of them may exist. held:
    the sessions whose week, not whose stamp, has the problem: those among `refused`, and earlier or later ones at which
    something in the range would look.
    """

    sessions: list[str]
    tables: list[str]
    due: dict[str, Row] = field(default_factory=dict)
    missing: dict[str, Row] = field(default_factory=dict)
    refused: dict[str, Row] = field(default_factory=dict)
    blocked: dict[str, Row] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def count(self, rows: Mapping[str, Row]) -> int:
        """How many partitions."""
        return int(sum(row.sum() for row in rows.values()))

    def keys(self, row: Row) -> list[str]:
        """The sessions of a row."""
        return [self.sessions[n] for n in np.flatnonzero(row)]


def in_order(inputs: Mapping[str, Mapping[str, Input]]) -> list[str]:
    """Bronze tables and all others, each after what it is made of."""
    order: list[str] = []

    def add(table: str) -> None:
        if table not in order:
            for source in inputs.get(table, {}).values():
                add(source.table)
            order.append(table)

    for table in inputs:
        add(table)
    return sorted(order, key=lambda table: not table.startswith("bronze/"))


def with_ancestors(tables: Collection[str], inputs: Mapping[str, Mapping[str, Input]]) -> set[str]:
    """Tables and everything they are made of."""
    found: set[str] = set()
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            waiting += [source.table for source in inputs.get(table, {}).values()]
    return found


def spread(row: Row, before: int, ahead: int) -> Row:
    """The sessions whose inputs, `before` sessions back to `ahead` sessions forward, include one of `row`."""
    reached = row.copy()
    for step in range(1, min(before, len(row) - 1) + 1):
        reached[step:] |= row[:-step]
    for step in range(1, min(ahead, len(row) - 1) + 1):
        reached[:-step] |= row[step:]
    return reached


def work(
    sessions: Sequence[str],
    tables: Sequence[str],
    inputs: Mapping[str, Mapping[str, Input]],
    states: Mapping[str, Mapping[str, str]],
    forced: Collection[str] = (),
    given_up: Mapping[str, Collection[str]] | None = None,
    together: Sequence[Collection[str]] = (),
    held: tuple[str, Collection[str]] = ("", ()),
    beyond: Mapping[str, Collection[str]] | None = None,
    looking_at: Mapping[str, Mapping[str, Collection[str]]] | None = None,
) -> Work:
    """What is due among `tables` (ordered) in `sessions` (sorted).

    states: by table and session, one of MISSING, OUTDATED, BLOCKED (it has problems) and CURRENT, as the lake is now;
    of bronze tables FETCH or CURRENT. A change reaches whatever takes it as an input, neighbours included. forced:
    tables that are made whatever their state. given_up: partitions that are not tried again. together: tables that
    one step makes. held: a table, and sessions of it on which nothing is built, not even by those that look back or
    ahead at them. beyond: sessions that were not asked for, each with the tables that a change may reach there.
    looking_at: by held session outside `sessions`, those of each table that look at it (see `onlookers`).
    """
    made = Work(list(sessions), list(tables))
    nothing = np.zeros(len(sessions), bool)

    def row(table: str, *wanted: str) -> Row:
        found = states.get(table, {})
        return np.array([found.get(key) in wanted for key in sessions], bool)

    def chosen(keys: Collection[str]) -> Row:
        return np.array([key in keys for key in sessions], bool)

    bad: dict[str, Row] = {}
    reach = beyond or {}
    asked = ~chosen(reach)
    kept = chosen(held[1])
    made.held.extend(key for key, tables_there in (looking_at or {}).items() if tables_there.keys() & set(tables))
    for group in _groups(tables, together):
        wanted, stuck = nothing.copy(), nothing.copy()
        for table in group:
            wanted |= row(table, MISSING, OUTDATED, FETCH) | (asked & (table in forced))
            for source in inputs.get(table, {}).values():
                if source.table in made.due:
                    wanted |= spread(made.due[source.table], source.before, source.ahead)
                    stuck |= bad[source.table]
                    if source.table == held[0]:
                        stuck |= spread(kept & ~made.due[held[0]], source.before, source.ahead)
            for found in (looking_at or {}).values():
                stuck |= chosen(found.get(table, ()))
        for table in group:
            lost = chosen(set((given_up or {}).get(table, ())))
            may = asked | np.array([table in reach.get(key, ()) for key in sessions], bool)
            made.due[table] = wanted & may & ~stuck & ~lost
            made.missing[table] = made.due[table] & row(table, MISSING, FETCH)
            made.refused[table] = row(table, BLOCKED) & ~made.due[table]
            if table == held[0]:
                made.refused[table] |= kept & ~made.due[table]
                made.held.extend(made.keys(kept & ~made.due[table]))
            made.blocked[table] = stuck & ~lost
            bad[table] = made.refused[table] | made.blocked[table] | (wanted & lost)
    made.held.sort()
    return made


def onlookers(
    held: tuple[str, Collection[str]],
    sessions: Collection[str],
    calendar: Sequence[str],
    inputs: Mapping[str, Mapping[str, Input]],
) -> dict[str, dict[str, list[str]]]:
    """By held session of a table outside `sessions`: by table, the sessions among them whose inputs include it."""
    table, kept = held
    found: dict[str, dict[str, list[str]]] = {}
    for key in sorted(set(kept) - set(sessions)):
        here = np.array([session == key for session in calendar], bool)
        for name, sources in inputs.items():
            looks = np.zeros(len(calendar), bool)
            for source in (source for source in sources.values() if source.table == table):
                looks |= spread(here, source.before, source.ahead)
            if reached := [day for day, hit in zip(calendar, looks, strict=True) if hit and day in sessions]:
                found.setdefault(key, {})[name] = reached
    return found


def _groups(tables: Sequence[str], together: Sequence[Collection[str]]) -> list[list[str]]:
    """Tables by the step that makes them, in order."""
    groups: list[list[str]] = []
    for table in tables:
        mates = next((set(group) for group in together if table in group), {table})
        group = next((group for group in groups if mates & set(group)), None)
        if group is None:
            groups.append([table])
        else:
            group.append(table)
    return groups

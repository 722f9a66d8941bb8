"""From due partitions to runs: few, each a contiguous range of sessions of the same tables, in an order in which every
run finds its inputs made. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from fx_assets.inputs import BRONZE, Input
from fx_assets.runs.backfill.work import Row, Work


@dataclass(frozen=True)
class Range:
    """One run: tables (ordered) for the sessions from `first` to `last`, both included, `sessions` in number."""

    tables: tuple[str, ...]
    first: str
    last: str
    sessions: int

    @property
    def partitions(self) -> int:
        """Table partitions that the run makes."""
        return self.sessions * len(self.tables)


@dataclass(frozen=True)
class _Piece:
    tables: tuple[str, ...]
    start: int
    stop: int  # exclusive


def ranges(
    todo: Work, inputs: Mapping[str, Mapping[str, Input]], longest: Callable[[Sequence[str]], int] = lambda tables: 0
) -> list[Range]:
    """The runs that make what is due.

    longest: how many sessions one run of these tables may have; 0 for any number. A killed run then loses little.
    A partition whose inputs lie ahead of it, in a later run, is made after that run; where a long range was only cut
    for its length, the session before the cut is made once more for such tables.
    """
    pieces = [part for piece in _pieces(todo.tables, todo.due) for part in _cut(piece, longest(piece.tables))]
    moments = _moments(todo, inputs, pieces)
    made: list[Range] = []

    def add(tables: Sequence[str], start: int, stop: int) -> None:
        made.append(Range(tuple(tables), todo.sessions[start], todo.sessions[stop - 1], stop - start))

    for number, piece in enumerate(pieces):
        # What would wait as a whole is left to its later run.
        at_once = [t for t in piece.tables if (moments[t][piece.start : piece.stop] == 2 * number).any()]
        if at_once:
            add(at_once, piece.start, piece.stop)
        for table in todo.tables:  # one by one: what waited may be made of what waited
            for after in _pieces([table], {table: moments[table] == 2 * number + 1}):
                add(after.tables, after.start, after.stop)
    return made


def stages(tables: Sequence[str], inputs: Mapping[str, Mapping[str, Input]]) -> list[list[str]]:
    """Tables (ordered) by how often one looks at other sessions of another: those of one stage need nothing but their
    own session of each other, so that different sessions of a stage can be made at once. What is fetched is a stage of
    its own: it waits for a server, and can do so while others work.
    """
    depth: dict[str, int] = {}
    for table in tables:
        sources = inputs.get(table, {}).values()
        depth[table] = max(
            (depth.get(s.table, 0) + bool(s.before or s.ahead or s.is_bronze) for s in sources), default=0
        )
    return [[t for t in tables if depth[t] == stage] for stage in sorted(set(depth.values()))]


def spread_out(
    todo: Work, inputs: Mapping[str, Mapping[str, Input]], longest: Callable[[Sequence[str]], int]
) -> list[Range]:
    """As `ranges`, in more runs, of which several can be executed at once (see `needs`)."""
    parts = []
    for tables in stages(todo.tables, inputs):
        stage = replace(todo, tables=tables, due={table: todo.due[table] for table in tables})
        parts += ranges(stage, inputs, longest)
    return parts


def needs(parts: Sequence[Range], sessions: Sequence[str], inputs: Mapping[str, Mapping[str, Input]]) -> list[set[int]]:
    """By run, the earlier runs that make what it reads, read what it makes, or make the same.

    One fetches at a time: how often a service is asked is limited within a process.
    """
    place = {key: number for number, key in enumerate(sessions)}
    found: list[set[int]] = []
    made: dict[str, list[tuple[int, int, int]]] = {}  # by table: first and last session, number of the run
    read: dict[str, list[tuple[int, int, int]]] = {}
    for number, part in enumerate(parts):
        first, last = place[part.first], place[part.last]
        sources = [source for table in part.tables for source in inputs.get(table, {}).values()]
        writes = [(table, first, last) for table in part.tables]
        if any(table.startswith(BRONZE) for table in part.tables):
            writes.append((BRONZE, 0, 0))
        reads = [(source.table, first - source.before, last + source.ahead) for source in sources]
        found.append(_meeting([*reads, *writes], made) | _meeting(writes, read))
        for kept, entries in ((made, writes), (read, reads)):
            for table, start, stop in entries:
                kept.setdefault(table, []).append((start, stop, number))
    return found


def _meeting(entries: Sequence[tuple[str, int, int]], kept: Mapping[str, Sequence[tuple[int, int, int]]]) -> set[int]:
    """Runs whose entry for the same table has a session in common."""
    return {
        number
        for table, first, last in entries
        for start, stop, number in kept.get(table, ())
        if start <= last and first <= stop
    }


def _pieces(tables: Sequence[str], due: Mapping[str, Row]) -> list[_Piece]:
    """Contiguous sessions for which the same tables are due."""
    length = len(next(iter(due.values()))) if due else 0
    columns = [tuple(table for table in tables if due[table][n]) for n in range(length)]
    pieces = []
    for wanted, run in groupby(range(length), key=columns.__getitem__):
        numbers = list(run)
        if wanted:
            pieces.append(_Piece(wanted, numbers[0], numbers[-1] + 1))
    return pieces


def _cut(piece: _Piece, longest: int) -> list[_Piece]:
    """A piece in equal parts of at most `longest` sessions."""
    length = piece.stop - piece.start
    if not longest or length <= longest:
        return [piece]
    edges = np.linspace(piece.start, piece.stop, -(-length // longest) + 1).round().astype(int)
    return [_Piece(piece.tables, int(a), int(b)) for a, b in pairwise(edges)]


def _moments(todo: Work, inputs: Mapping[str, Mapping[str, Input]], pieces: Sequence[_Piece]) -> dict[str, np.ndarray]:
    """When each due partition can be made: 2 n with piece n, 2 n + 1 after it; -1 for what is not due.

    It is made with its own piece, unless an input belongs to a later one or has to wait itself.
    """
    own = np.full(len(todo.sessions), -1)
    for number, piece in enumerate(pieces):
        own[piece.start : piece.stop] = 2 * number
    moments: dict[str, np.ndarray] = {}
    for table in todo.tables:
        needed = own.copy()
        for source in inputs.get(table, {}).values():
            for step in range(-source.before, source.ahead + 1):
                needed = np.maximum(needed, _shifted(moments.get(source.table, own * 0 - 1), step))
        moments[table] = np.where(todo.due[table], np.where(needed > own, needed | 1, own), -1)
    return moments


def _shifted(moments: np.ndarray, step: int) -> np.ndarray:
    """The moments `step` sessions ahead (behind, if negative) of each session; -1 beyond the ends."""
    shifted = np.full(len(moments), -1)
    if step > 0:
        shifted[:-step] = moments[step:]
    elif step < 0:
        shifted[-step:] = moments[:step]
    else:
        shifted[:] = moments
    return shifted

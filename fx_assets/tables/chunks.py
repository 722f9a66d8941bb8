"""How many sessions are worked on at once: as many as fit a number of cells, whatever the length of a bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

# Cells (rows times columns, inputs included) of a chunk: 8 bytes each, and a few copies of them at a time.
CELLS = 16_000_000


def chunks(keys: Sequence[str], rows_per_session: int, columns: int, cells: int | None = None) -> Iterator[list[str]]:
    """`keys` in order, cut into lists of at least one."""
    fitting = max(1, (CELLS if cells is None else cells) // max(1, rows_per_session * columns))
    rest = iter(keys)
    while chunk := list(islice(rest, fitting)):
        yield chunk

"""Making partitions by workers: each computes chunks, stages their files in the lake, and says what it staged.

What a chunk is made of and what is written of it are as large as the chunk, and hashing and encoding cost as much as
computing it: so the worker reads and writes, and only tokens, hashes and figures travel. Staging shows nothing; the
asset alone publishes. A chunk that is made twice, because a worker died, leaves temporaries that are swept later.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fx_assets.tables.produce import Compute, Production, Staged

if TYPE_CHECKING:
    from fx_assets.resources.compute import ComputeResource
    from fx_assets.silver.lookahead_check import Lookahead


@dataclass(frozen=True)
class Part:
    """What a worker staged of one chunk, and what its look-ahead check looked at and found."""

    staged: Mapping[str, Staged]
    checked: Sequence[str]
    problems: Mapping[str, list[str]]


def run_elsewhere(
    production: Production,
    keys: Sequence[str],
    compute: Compute,
    workers: ComputeResource,
    look: Lookahead | None = None,
    cells: int | None = None,
) -> dict[str, Staged]:
    """As production.run, to the last bit, by workers; a range of one chunk is made here.

    compute: reads what it needs through the readers that it holds, and is sent as it is. look: what compute looks
    with; it learns what the workers' copies found.
    """
    parts = list(production.chunks(keys, cells))
    if len(parts) < 2:
        return production.run(keys, compute, cells)
    import cloudpickle

    make = partial(_make, cloudpickle.dumps((production, compute, look)))
    enough = 0 if look is None else look.enough
    asked = [(part, n < enough) for n, part in enumerate(parts)]
    whole = production.nothing()
    try:
        for (part, looked), made in zip(asked, workers.map(make, asked), strict=True):
            if look is not None:
                if not looked and len(look.checked) < look.enough:
                    # Nothing could be compared in one of the first chunks: another one is looked at, as it would be
                    # here. What is wrong with a session is part of its file, which is therefore made again.
                    for staged in made.staged.values():
                        staged.discard()
                    (made,) = workers.map(make, [(part, True)])
                look.checked += made.checked
                look.problems |= made.problems
            for table, staged in made.staged.items():
                whole[table].add(staged)
    except BaseException:
        for staged in whole.values():
            staged.discard()
        raise
    return whole


def _make(sent: bytes, asked: tuple[list[str], bool]) -> Part:
    """On a worker: one chunk. Unpickled for each, so that nothing is left of another."""
    production, compute, look = pickle.loads(sent)
    chunk, looks = asked
    if look is not None:
        look.enough = int(looks)
    staged = production.run(chunk, compute, cells=sys.maxsize)
    return Part(staged, look.checked if look else [], look.problems if look else {})

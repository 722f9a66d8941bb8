"""What the ticks of a row came to: runs, reasons why nothing was to be done, errors. Read from Dagster's store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import dagster as dg

# A sensor may look every ten seconds: so many ticks are read, and equal ones told once.
READ = 1000
_EMPTY = "Sensor function returned an empty result"  # Dagster's words where a sensor gave no reason


class Told(msgspec.Struct, frozen=True):
    """Ticks running that came to the same. first, last: when (UTC). came_to: runs, skipped or failed; why: in words."""

    name: str
    first: datetime
    last: datetime
    ticks: int
    came_to: str
    why: str
    runs: list[str]


def newest_ticks(instance: dg.DagsterInstance, names: Sequence[str], limit: int) -> list[Told]:
    """The newest of what the schedules or sensors of these names came to, at most `limit` of each; newest first."""
    told: list[Told] = []
    for state in instance.all_instigator_state():
        if state.name not in names:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=READ)
        told += _together(state.name, ticks)[:limit]
    return sorted(told, key=lambda found: found.last, reverse=True)


def _together(name: str, ticks: Sequence[Any]) -> list[Told]:
    """Ticks (newest first) that came to the same without a break between them, as one."""
    found = []
    for (came_to, why, runs), group in groupby(ticks, key=_came_to):
        times = [datetime.fromtimestamp(tick.timestamp, UTC) for tick in group]
        found.append(Told(name, times[-1], times[0], len(times), came_to, why, list(runs)))
    return found


def _came_to(tick: Any) -> tuple[str, str, tuple[str, ...]]:
    word = tick.status.value.lower()
    if word == "success":
        runs = tuple(tick.run_ids)
        return ("asked", "asked for " + ", ".join(run[:8] for run in runs) if runs else "nothing was asked for", runs)
    if word == "failure":
        lines = (tick.error.message if tick.error else "").strip().splitlines()
        return ("failed", lines[0] if lines else "no error was kept", ())
    why = tick.skip_reason or ""
    return (word, "looked, and had nothing to do" if why in ("", _EMPTY) else why, ())

"""Adding up what steps cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fx_assets.cost.ledger import Entry

BY = ("asset", "day", "session", "model", "run", "command")


@dataclass
class Cost:
    """Sums over some steps. begun: when the first of them did. rows, size: of those that say; None where none does."""

    name: str
    begun: datetime | None = None
    steps: int = 0
    partitions: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0
    rows: int | None = None
    size: int | None = None

    def add(self, entry: Entry, share: float = 1.0) -> None:
        """Take in one step, or a share of it."""
        begun = entry.at - timedelta(seconds=entry.seconds)
        self.begun = begun if self.begun is None else min(self.begun, begun)
        self.steps += 1
        self.partitions += max(1, round(entry.partitions * share)) if entry.partitions else 0
        self.seconds += entry.seconds * share
        self.cpu_s += entry.cpu_s * share
        self.peak_mib = max(self.peak_mib, entry.peak_mib)
        self.rows = _added(self.rows, entry.rows, share)
        self.size = _added(self.size, entry.size, share)


def _added(so_far: int | None, more: int | None, share: float) -> int | None:
    return so_far if more is None else (so_far or 0) + round(more * share)


def summed(entries: Iterable[Entry], by: str, models: Iterable[str] = ()) -> list[Cost]:
    """Costs by one of BY, the dearest first.

    A step that makes several assets is shared equally among them, and one over several sessions among these when asked
    by session (the first and the last are named; those between are counted with "<first> to <last>"). models: whose
    assets count as a model's own; steps of none of them are "no model" when asked by model.
    """
    names = _naming(by, frozenset(models))
    found: dict[str, Cost] = {}
    for entry in entries:
        named = names(entry)
        for name in named:
            found.setdefault(name, Cost(name)).add(entry, 1 / len(named))
    return sorted(found.values(), key=lambda cost: -cost.cpu_s)


def total(entries: Iterable[Entry]) -> Cost:
    """All of them as one."""
    whole = Cost("total")
    for entry in entries:
        whole.add(entry)
    return whole


def _naming(by: str, models: frozenset[str]) -> Callable[[Entry], list[str]]:
    if by == "asset":
        return lambda entry: entry.assets
    if by == "day":
        return lambda entry: [f"{entry.at:%Y-%m-%d}"]
    if by == "run":
        return lambda entry: [f"{entry.run_id[:8]} {entry.command or ''}".strip()]
    if by == "command":
        return lambda entry: [entry.command or "by hand or schedule"]
    if by == "session":
        return _sessions
    if by == "model":
        return lambda entry: sorted({a.split("/")[0] for a in entry.assets} & models) or ["no model"]
    raise ValueError(f"by: {by!r} is none of {', '.join(BY)}.")


def _sessions(entry: Entry) -> list[str]:
    if entry.first is None:
        return ["without a session"]
    return [entry.first if entry.first == entry.last else f"{entry.first} to {entry.last}"]

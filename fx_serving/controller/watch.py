"""What is kept in memory about an active rollout: when its state began, its checks, its counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fx_serving.controller.facts import Suite
from fx_serving.controller.gates import Pairs, Sample, Totals
from fx_serving.controller.rollout import Rollout
from fx_serving.evidence import Key, SlotEvidence

# How far back "recent" reaches, at least: a candidate that collapses must be seen within two seconds, and one that is
# asked little must not be judged by one or two requests.
RECENT_S, RECENT_N = 0.5, 5
_NONE = SlotEvidence()


class Watch:
    """Of one rollout, in its present state or step; begun anew with each."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.confirmed_at: float | None = None
        self.seen_applied = now
        self.judged = now
        self.failing_since: float | None = None
        self.check: asyncio.Task[tuple[str, str]] | None = None
        self.suite: asyncio.Task[Suite] | None = None
        self.totals: Totals | None = None
        self.pairs: Pairs | None = None
        self.paired_at = float("-inf")
        self._base: Sample | None = None
        self._marks: tuple[tuple[float, Sample], ...] = ()

    def elapsed(self, now: float) -> float:
        """Seconds since the state began, or since workers confirmed the step."""
        return now - (self.since if self.confirmed_at is None else self.confirmed_at)

    def confirm(self, applied: bool, now: float) -> None:
        """Note whether all workers follow the table at this moment."""
        if applied:
            self.seen_applied = now
            if self.confirmed_at is None:
                self.confirmed_at = now

    def count(self, rollout: Rollout, counts: Mapping[Key, SlotEvidence], now: float) -> Totals:
        """Take note of the counts; the evidence of the whole rollout."""
        read = _read(rollout, counts)
        if self._base is None:
            self._base, self._marks = read, ((now, read),)
        at, seen = self._marks[-1]
        if now - at >= RECENT_S and read.green.requests - seen.green.requests >= RECENT_N:
            self._marks = (self._marks[-1], (now, read))
        step, recent = read.since(self._base), read.since(self._marks[0][1])
        steps = (*rollout.samples, step)
        self.totals = Totals(steps, recent.green, recent.control, self.pairs)
        return self.totals

    def close(self) -> None:
        """Stop what still runs."""
        for task in (self.check, self.suite):
            if task is not None:
                task.cancel()


def _read(rollout: Rollout, counts: Mapping[Key, SlotEvidence]) -> Sample:
    def slot(version: str | None, name: str) -> SlotEvidence:
        return counts.get((rollout.model, version or "", name), _NONE)

    return Sample(
        green=slot(rollout.version, "green"),
        control=slot(rollout.from_version, "control"),
        shadow=slot(rollout.version, "shadow"),
        blue=slot(rollout.from_version, "blue"),
    )

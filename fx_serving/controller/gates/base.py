"""What the gates are told and what they say. Plain structs; nothing here judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from fx_serving.controller.gates.pairs import Pairs
from fx_serving.evidence import SlotEvidence

_empty = msgspec.field(default_factory=SlotEvidence)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What each slot did in one step, over all workers. control: the part of blue that green could have been given."""

    green: SlotEvidence = _empty
    control: SlotEvidence = _empty
    shadow: SlotEvidence = _empty
    blue: SlotEvidence = _empty

    def since(self, base: Sample) -> Sample:
        """The difference to an earlier reading."""
        return self._with(base, SlotEvidence.since)

    def plus(self, other: Sample) -> Sample:
        """The sum of both."""
        return self._with(other, SlotEvidence.plus)

    def _with(self, other: Sample, how: Any) -> Sample:
        return Sample(**{name: how(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__})


@dataclass(frozen=True)
class Totals:
    """The evidence of a rollout.

    `steps`: every step by itself, the running one last. `recent`: the candidate in about the last second, and a few
    requests at least; `recent_control`: the control group in the same time. `pairs`: predictions of both whose truth is
    known.
    """

    steps: tuple[Sample, ...] = (Sample(),)
    recent: SlotEvidence = field(default_factory=SlotEvidence)
    recent_control: SlotEvidence = field(default_factory=SlotEvidence)
    pairs: Pairs | None = None

    @property
    def now(self) -> Sample:
        """The running step."""
        return self.steps[-1]


class Plan(Protocol):
    """What a gate wants to know of the running step. shadow_only: a dry run, where shadow counts as green."""

    @property
    def window_s(self) -> float: ...
    @property
    def min_requests(self) -> int: ...
    @property
    def shadow_only(self) -> bool: ...


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate says, with its figures.

    n: observations it rests on; needed: how many it wants before it can pass. statistic: how far its test is on the
    way to an alarm, 1 is one.
    """

    gate: str
    verdict: Literal["pass", "fail", "inconclusive", "off"]
    value: float | None = None
    limit: float | None = None
    n: int = 0
    needed: int = 0
    statistic: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """pass: go on. wait: the window is not over. hold: too little evidence. breach: a gate fails, for certain. expired:
    held too long.
    """

    kind: Literal["pass", "wait", "hold", "breach", "expired"]
    why: str
    gates: tuple[GateVerdict, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """Which slot is better; undecided: it goes on; ended: neither, as far as can be told in the time given.

    value: blue's loss less green's (above nought: green is better), which lies within low and high.
    """

    kind: Literal["green", "blue", "undecided", "ended"]
    metric: str
    why: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

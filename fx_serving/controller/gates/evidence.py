"""The evidence in the order the gates need it: step by step, each with the group it is to be compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fx_serving.controller.gates.base import Plan, Sample
from fx_serving.controller.gates.sequential import upper_rate
from fx_serving.evidence import SlotEvidence

SERVED_SHARE = 0.2  # of min_requests that the candidate must itself have answered where shadow scores give the rest
CONTROL_Z = 2.33  # one-sided 99 %
MOST_OF_STEP = 2 / 3  # where the candidate answers more of a step than this, the rest is no control group

Measure = Callable[[SlotEvidence], tuple[float, int]]
"""(bad, of how many) of one slot."""


@dataclass(frozen=True)
class Pair:
    """One step's candidate and those it is compared with: requests that could have been either's."""

    candidate: SlotEvidence
    control: SlotEvidence


def served(steps: Sequence[Sample]) -> list[Pair]:
    """What the candidate answered, against the requests it could have been given."""
    return [Pair(step.green, step.control) for step in steps]


def shadowed(steps: Sequence[Sample]) -> list[Pair]:
    """What it scored unseen, against those who answered the same requests."""
    return [Pair(step.shadow, step.blue) for step in steps]


def served_needed(plan: Plan, step: Sample) -> int:
    """How many requests the candidate must have answered itself in this step."""
    return math.ceil(SERVED_SHARE * plan.min_requests) if step.shadow.requests else plan.min_requests


def rate(pairs: Sequence[Pair], measure: Measure) -> tuple[float, int]:
    """(bad, of how many) of the candidate over all steps."""
    found = [measure(pair.candidate) for pair in pairs]
    return sum(bad for bad, _ in found), sum(n for _, n in found)


def has_control(pair: Pair, measure: Measure) -> bool:
    """Whether the control group is large enough to tell a bad candidate from bad weather."""
    return measure(pair.candidate)[1] <= MOST_OF_STEP * (measure(pair.candidate)[1] + measure(pair.control)[1])


def control_rate(pairs: Sequence[Pair], measure: Measure) -> tuple[float, float] | None:
    """(rate, its upper side) of the control group, had its requests been spread over the steps as the candidate's
    were; None without a control group.

    The candidate's share differs by step, and so may the weather: counts simply added up would compare a bad hour of
    one with a good hour of the other.
    """
    rows = []
    for pair in pairs:
        bad, of = measure(pair.control)
        n = measure(pair.candidate)[1]
        if of and n:
            rows.append((n, bad / of, of))
    total = sum(n for n, _, _ in rows)
    if not total:
        return None
    found = sum(n / total * rate for n, rate, _ in rows)
    worth = 1 / sum((n / total) ** 2 / of for n, _, of in rows)  # as many requests in one heap say as much
    return found, upper_rate(found * worth, worth, CONTROL_Z)

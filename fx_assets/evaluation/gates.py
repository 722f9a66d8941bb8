"""Judging a model: every figure against the threshold of its profile, with a reason either way."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
# Where the figures of the comparison with the champion stand among the others.
CHAMPION, NO_CHAMPION = "champion", "there is no champion yet"


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict. value is NaN where the figure is missing; reason is a sentence for people."""

    name: str
    value: float
    threshold: float
    op: str
    passed: bool
    reason: str


def judge(profile: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> list[GateResult]:
    """Hold figures against a profile.

    profile: mappings with gate, figure (dotted path into figures), op (> >= < <=), threshold, why.
    Returns one result per gate, in order. A figure that is missing, not a number, or NaN fails; one below `champion`
    passes where `figures` says that there is no champion (`champion` is there and None).
    Raises ValueError for a gate without one of these keys or with an unknown op.
    """
    return [_judge(gate, figures) for gate in profile]


def _judge(gate: Mapping[str, Any], figures: Mapping[str, Any]) -> GateResult:
    absent = [key for key in ("gate", "figure", "op", "threshold", "why") if key not in gate]
    if absent:
        raise ValueError(f"gate {gate.get('gate', gate)!r}: {', '.join(absent)} missing. Add it to the profile.")
    name, op, limit = str(gate["gate"]), str(gate["op"]), float(gate["threshold"])
    if op not in OPERATORS:
        raise ValueError(f"gate {name}: op {op!r} is not one of {' '.join(OPERATORS)}.")
    path = str(gate["figure"])
    if path.startswith(f"{CHAMPION}.") and CHAMPION in figures and figures[CHAMPION] is None:
        return GateResult(name, limit, limit, op, True, NO_CHAMPION)
    value = lookup(figures, path)
    if math.isnan(value):
        reason = f"{path} is missing or not a number, so the gate cannot be passed ({gate['why']})"
        return GateResult(name, value, limit, op, False, reason)
    passed = bool(OPERATORS[op](value, limit))
    verdict = "meets" if passed else "misses"
    return GateResult(name, value, limit, op, passed, f"{value:.4g} {verdict} {op} {limit:g}: {gate['why']}")


def lookup(figures: Mapping[str, Any], path: str) -> float:
    """The number at a dotted path, NaN where there is none."""
    node: Any = figures
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return float("nan")
        node = node[key]
    try:
        return float(node)
    except (TypeError, ValueError):
        return float("nan")

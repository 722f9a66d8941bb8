"""Good, worse or inconclusive: figures of live answers against what the model card promised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fx_monitoring.configuration.quality import QualityPolicy
from fx_monitoring.quality.figures import MIN_BLOCKS
from fx_monitoring.quality.rows import Expected

#: A window of so few blocks, looked at all day while it fills, is called worse only where an interval twice as wide
#: says so: a gross fault shows within a session, and bad luck of an afternoon does not.
FEW_BLOCKS, STRICT = 12, 2.0


def judge(found: Mapping[str, Any], expected: Expected | None, policy: QualityPolicy) -> dict[str, Any]:
    """The fields drop_relative, brier_rise_relative, quality_worse, calibration_worse, verdict and reasons of a row.

    worse: accuracy or AUC fell, or the Brier score rose, by more than the limit, and the live interval does not meet
    the card's: neither the few live rows nor the study's own explain it. good: the live intervals exclude a change
    above the limits. Else inconclusive.
    """
    drops = _changes(found, expected, {"accuracy": -1, "auc": -1})
    rises = _changes(found, expected, {"brier": 1})
    out: dict[str, Any] = {
        "drop_relative": max(drops.values(), default=None),
        "brier_rise_relative": rises.get("brier"),
        "quality_worse": False,
        "calibration_worse": False,
        "verdict": "inconclusive",
        "reasons": (),
    }
    if why := _unjudged(found, expected, policy):
        return {**out, "reasons": (why,)}
    assert expected is not None
    reasons = []
    for name, change in drops.items():
        floor = getattr(expected, f"{name}_low") or getattr(expected, name)
        if change > policy.max_drop and (end := _end(name, "high", found)) is not None and end < floor:
            out["quality_worse"] = True
            reasons.append(_words(name, found, expected, change, "below"))
    for name, change in rises.items():
        ceiling = getattr(expected, f"{name}_high") or getattr(expected, name)
        if change > policy.max_brier_rise and (end := _end(name, "low", found)) is not None and end > ceiling:
            out["calibration_worse"] = True
            reasons.append(_words(name, found, expected, change, "above"))
    if reasons:
        return {**out, "verdict": "worse", "reasons": tuple(reasons)}
    open_ = [
        name
        for name, sign, limit in (
            ("accuracy", -1, policy.max_drop),
            ("auc", -1, policy.max_drop),
            ("brier", 1, policy.max_brier_rise),
        )
        if not _excluded(name, sign, limit, found, expected)
    ]
    if open_:
        why = f"{', '.join(open_)}: a change above the limit can neither be shown nor excluded with so few rows"
        return {**out, "reasons": (why,)}
    return {**out, "verdict": "good"}


def _end(name: str, side: str, found: Mapping[str, Any]) -> float | None:
    """The end of a live interval that must not meet the card's; None where there is no interval."""
    value, end = found[name], found[f"{name}_{side}"]
    if end is None:
        return None
    return value + (end - value) * (STRICT if found["blocks"] < FEW_BLOCKS else 1.0)


def _unjudged(found: Mapping[str, Any], expected: Expected | None, policy: QualityPolicy) -> str | None:
    """Why there is nothing to judge; None where there is."""
    if not found["n"]:
        return "no outcome is known yet"
    if expected is None:
        return "the figures of this version's model card are not on record"
    if found["blocks"] < MIN_BLOCKS:
        return f"outcomes in {found['blocks']} blocks of time, {MIN_BLOCKS} are needed"
    if found["n_effective"] < policy.min_effective:
        return f"{found['n_effective']:.0f} effective rows, {policy.min_effective:g} are needed"
    return None


def _changes(found: Mapping[str, Any], expected: Expected | None, signs: Mapping[str, int]) -> dict[str, float]:
    """Relative change of each figure against the card's, above 0 where it is worse."""
    changes = {}
    for name, sign in signs.items():
        value, usual = found.get(name), getattr(expected, name, None)
        if value is not None and usual:
            changes[name] = sign * (value - usual) / usual
    return changes


def _excluded(name: str, sign: int, limit: float, found: Mapping[str, Any], expected: Expected) -> bool:
    """Whether the interval's worse end is still within the limit; what the card does not state is not asked."""
    usual = getattr(expected, name)
    if usual is None:
        return True
    end = found[f"{name}_high" if sign > 0 else f"{name}_low"]
    return end is not None and sign * (end - usual) <= limit * usual


def _words(name: str, found: Mapping[str, Any], expected: Expected, change: float, side: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return (
        f"{name} {found[name]:.4f} [{low:.4f}, {high:.4f}] is {change:.1%} {side} the model card's "
        f"{getattr(expected, name):.4f}"
    )

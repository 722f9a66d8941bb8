"""The promotion decision: the model's gate profile, the gates of every model, the canaries, and the champion.

Evidence is what model_evaluation records: the figures of the study, and beside them `champion` (the comparison, None
where there is no champion), `latency` and `naive`. Everything here is a function of the evidence and of gates.yaml,
so that a verdict can be read again without training anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from fx_assets.configuration import Gate
from fx_assets.evaluation.canaries import canary_gates
from fx_assets.evaluation.gates import CHAMPION, NO_CHAMPION, GateResult, judge
from fx_assets.models.comparison import MIN_COMMON_ROWS

# The profile of gates.yaml that applies to every model, whatever its own.
ALWAYS = "always"


def not_worse_than_champion(comparison: Mapping[str, Any] | None) -> GateResult:
    """Challenger against champion on the same rows, all of them after what the champion was trained on.

    comparison: as comparison.same_rows makes it; None: there is no champion. Fails only when the challenger is worse
    beyond doubt: the upper end of the paired 95 % interval of the AUC difference is below 0.
    """
    name = "not_worse_than_champion"
    if comparison is None:
        return GateResult(name, 0.0, 0.0, ">=", True, NO_CHAMPION)
    rows = int(comparison["rows"])
    if not comparison["conclusive"]:
        return GateResult(
            name,
            0.0,
            0.0,
            ">=",
            True,
            f"inconclusive: {rows} rows after the champion's training, {MIN_COMMON_ROWS} with both outcomes needed",
        )
    auc, loss = comparison["auc"], comparison["loss"]
    reason = (
        f"AUC difference {auc['value']:+.4f} [{auc['low']:+.4f}, {auc['high']:+.4f}] on {rows} rows; "
        f"log loss {loss['value']:+.5f}, paired test by day p = {loss['p_value']:.3f}"
    )
    return GateResult(name, auc["high"], 0.0, ">=", auc["high"] >= 0.0, reason)


def not_older_than_champion(session: str, champion_session: str | None) -> GateResult:
    """A model of an earlier session, as a walk-forward backfill makes them, never replaces the champion."""
    name = "not_older_than_champion"
    if champion_session is None:
        return GateResult(name, 0.0, 0.0, ">=", True, NO_CHAMPION)
    days = (date.fromisoformat(session) - date.fromisoformat(champion_session)).days
    words = f"trained for session {session}, the champion for {champion_session}"
    return GateResult(name, float(days), 0.0, ">=", days >= 0, f"{days} days newer: {words}")


def against_champion(session: str, champion: Mapping[str, Any] | None) -> list[GateResult]:
    """The gates that compare a session's model with the champion of the evidence (None: there is none)."""
    if champion is None:
        return [not_older_than_champion(session, None), not_worse_than_champion(None)]
    return [not_older_than_champion(session, champion["session"]), not_worse_than_champion(champion["same_rows"])]


def profile_of(gates: Mapping[str, Sequence[Gate]], name: str) -> list[Gate]:
    """The gates of a profile and, after them, those of every model that it does not state itself."""
    own = list(gates[name])
    stated = {gate.gate for gate in own}
    return [*own, *(gate for gate in gates.get(ALWAYS, ()) if gate.gate not in stated)]


def decide(profile: Sequence[Gate], evidence: Mapping[str, Any], session: str) -> dict[str, Any]:
    """Every gate's result and the verdict: {"approved", "gates": [...], "missed": [names], "champion": version}.

    profile: as profile_of gives it. The leak canaries and the comparison with the champion are added to it.
    champion is the version that the verdict holds against, None where there was none: a verdict says nothing about
    a champion that came later.
    """
    champion = evidence.get(CHAMPION)
    results = [
        *judge([gate.model_dump() for gate in profile], evidence),
        *canary_gates(evidence),
        *against_champion(session, champion),
    ]
    missed = [result.name for result in results if not result.passed]
    return {
        "approved": not missed,
        "missed": missed,
        "gates": [asdict(result) for result in results],
        "champion": champion["version"] if champion else None,
    }


def gate_table(decision: Mapping[str, Any]) -> str:
    """The gates as a Markdown table."""
    lines = ["| gate | value | needed | outcome | reason |", "| --- | --- | --- | --- | --- |"]
    for gate in decision["gates"]:
        outcome = "pass" if gate["passed"] else "**miss**"
        needed = f"{gate['op']} {gate['threshold']:g}"
        value = "not computable" if gate["value"] is None else f"{gate['value']:.4g}"
        lines.append(f"| {gate['name']} | {value} | {needed} | {outcome} | {gate['reason']} |")
    return "\n".join(lines)

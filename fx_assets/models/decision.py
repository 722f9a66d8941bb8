"""The promotion decision: the gate profile, the leak canary, and the comparison with the serving champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Gate
from fx_assets.evaluation.backtest import trading_day
from fx_assets.evaluation.gates import GateResult, judge
from fx_assets.evaluation.metrics import auc_difference

# Fewer common rows cannot tell two models apart: the comparison is then inconclusive and does not block.
MIN_COMMON_ROWS = 500
# An honest training strays this far from 0.5 once in a thousand; a leak of labels strays much further.
LEAK_SIGMAS = 3.3


def no_leak(figures: Mapping[str, Any]) -> GateResult:
    """Random labels must not be predictable: their AUC within LEAK_SIGMAS standard errors of 0.5."""
    canary = figures["random_label_auc"]
    error = (canary["high"] - canary["low"]) / (2 * 1.96)
    # Without a spread there is nothing to measure by: NaN, which does not pass.
    distance = abs(canary["value"] - 0.5) / error if error > 0 else float("nan")
    reason = f"AUC {canary['value']:.4f} on shuffled labels lies {distance:.1f} standard errors from 0.5"
    return GateResult("leak_canary", distance, LEAK_SIGMAS, "<=", distance <= LEAK_SIGMAS, reason)


def not_worse_than_champion(
    out_of_fold: pd.DataFrame, champion: np.ndarray | None, since: pd.Timestamp | None
) -> GateResult:
    """Challenger against champion on the same rows, all of them after what the champion was trained on.

    out_of_fold: instrument, decision_time, label, prediction (challenger, out of fold), sorted by decision_time.
    champion: its predictions for these rows. since: start of the champion's session. None: there is no champion.
    Fails only when the challenger is worse beyond doubt (upper end of the paired 95 % interval below 0).
    """
    name = "not_worse_than_champion"
    if champion is None or since is None:
        return GateResult(name, 0.0, 0.0, ">=", True, "there is no champion yet")
    later = (out_of_fold["decision_time"] >= since).to_numpy()
    common = int(later.sum())
    if common < MIN_COMMON_ROWS or out_of_fold["label"][later].nunique() < 2:
        return GateResult(
            name,
            0.0,
            0.0,
            ">=",
            True,
            f"inconclusive: {common} rows after the champion's training, {MIN_COMMON_ROWS} needed",
        )
    rows = out_of_fold[later]
    days = trading_day(rows["decision_time"].to_numpy("datetime64[us]"))
    difference = auc_difference(
        rows["label"].to_numpy(float), rows["prediction"].to_numpy(float), champion[later], days
    )
    low, high = difference["low"], difference["high"]
    reason = f"AUC difference {difference['value']:+.4f} [{low:+.4f}, {high:+.4f}] on {common} rows"
    return GateResult(name, high, 0.0, ">=", high >= 0.0, reason)


def not_older_than_champion(session: str, champion_session: str | None) -> GateResult:
    """A model of an earlier session, as a walk-forward backfill makes them, never replaces the champion."""
    name = "not_older_than_champion"
    if champion_session is None:
        return GateResult(name, 0.0, 0.0, ">=", True, "there is no champion yet")
    days = (date.fromisoformat(session) - date.fromisoformat(champion_session)).days
    words = f"trained for session {session}, the champion for {champion_session}"
    return GateResult(name, float(days), 0.0, ">=", days >= 0, f"{days} days newer: {words}")


def decide(profile: Sequence[Gate], figures: Mapping[str, Any], *against_champion: GateResult) -> dict[str, Any]:
    """Every gate's result and the verdict: {"approved", "gates": [...], "missed": [names]}."""
    results = [*judge([g.model_dump() for g in profile], figures), no_leak(figures), *against_champion]
    missed = [result.name for result in results if not result.passed]
    return {"approved": not missed, "missed": missed, "gates": [asdict(result) for result in results]}


def gate_table(decision: Mapping[str, Any]) -> str:
    """The gates as a Markdown table."""
    lines = ["| gate | value | needed | outcome | reason |", "| --- | --- | --- | --- | --- |"]
    for gate in decision["gates"]:
        outcome = "pass" if gate["passed"] else "**miss**"
        needed = f"{gate['op']} {gate['threshold']:g}"
        lines.append(f"| {gate['name']} | {gate['value']:.4g} | {needed} | {outcome} | {gate['reason']} |")
    return "\n".join(lines)

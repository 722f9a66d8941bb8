"""The promotion decision: the champion's gates, the gates of every model, the canaries, and the verdict."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import fx_assets
from fx_assets.configuration import Gate
from fx_assets.evaluation.gates import judge
from fx_assets.models.decision import (
    against_champion,
    decide,
    gate_table,
    not_older_than_champion,
    not_worse_than_champion,
    profile_of,
)

SESSION = "2021-03-15"
CALM = {"value": 0.503, "low": 0.49, "high": 0.516, "limit": 3.5}
CANARIES = {
    **dict.fromkeys(("random_labels", "persistent_labels", "shifted_features"), CALM),
    "future_feature": {"value": 0.8, "low": 0.79, "high": 0.81, "limit": 3.5},
}
LEAKS = ["leak_random_labels", "leak_persistent_labels", "leak_shifted_features", "leak_future_feature"]
COMPARED = ["not_older_than_champion", "not_worse_than_champion"]
GATES = {"own": [Gate(gate="sure", figure="auc.value", op=">", threshold=0.55, why="more than luck")]}
EVIDENCE: dict[str, Any] = {"auc": {"value": 0.6}, "canaries": CANARIES, "champion": None}


def compared(low: float, high: float, conclusive: bool = True) -> dict[str, Any]:
    return {
        "rows": 900,
        "conclusive": conclusive,
        "auc": {"value": (low + high) / 2, "low": low, "high": high},
        "loss": {"value": 0.001, "low": -0.001, "high": 0.003, "p_value": 0.3},
    }


def champion(**other: Any) -> dict[str, Any]:
    return {"version": "3", "session": "2021-02-15", "same_rows": compared(-0.01, 0.02), **other}


def test_without_a_champion_there_is_nothing_to_be_worse_than():
    results = against_champion(SESSION, None)
    assert [r.name for r in results] == COMPARED
    assert all(r.passed and r.reason == "there is no champion yet" for r in results)


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.04, -0.01, False), (-0.02, 0.0, True), (-0.01, 0.03, True), (0.01, 0.05, True)]
)
def test_only_what_is_worse_beyond_doubt_fails(low, high, passed):
    result = not_worse_than_champion(compared(low, high))
    assert (result.passed, result.value) == (passed, high)
    assert "on 900 rows" in result.reason
    assert "paired test by day p = 0.300" in result.reason


def test_an_inconclusive_comparison_does_not_block():
    result = not_worse_than_champion(compared(float("nan"), float("nan"), conclusive=False))
    assert result.passed
    assert result.reason.startswith("inconclusive: 900 rows after the champion's training, 500")


def test_every_gate_must_pass_and_the_missed_ones_are_named():
    good = decide(profile_of(GATES, "own"), EVIDENCE, SESSION)
    assert (good["approved"], good["missed"], good["champion"]) == (True, [], None)
    assert [g["name"] for g in good["gates"]] == ["sure", *LEAKS, *COMPARED]
    bad = decide(profile_of(GATES, "own"), {**EVIDENCE, "auc": {}}, SESSION)
    assert (bad["approved"], bad["missed"]) == (False, ["sure"])
    table = gate_table(bad).splitlines()
    assert table[2].startswith("| sure | nan | > 0.55 | **miss** | auc.value is missing")
    assert "| pass | there is no champion yet |" in table[-1]


@pytest.mark.parametrize("name", list(CANARIES))
def test_a_canary_that_sings_rejects_whatever_else_is_good(name):
    canaries = copy.deepcopy(CANARIES)
    # Knowledge where there must be none, and none where there must be.
    value = 0.5 if name == "future_feature" else 0.6
    canaries[name] = {"value": value, "low": value - 0.02, "high": value + 0.02, "limit": 3.5}
    found = decide(profile_of(GATES, "own"), {**EVIDENCE, "canaries": canaries}, SESSION)
    assert found["missed"] == [f"leak_{name}"]


def test_missing_canaries_reject():
    without = {key: value for key, value in EVIDENCE.items() if key != "canaries"}
    assert decide(profile_of(GATES, "own"), without, SESSION)["missed"] == LEAKS


def test_the_verdict_names_the_champion_that_it_holds_against():
    found = decide(profile_of(GATES, "own"), {**EVIDENCE, "champion": champion()}, SESSION)
    assert (found["approved"], found["champion"]) == (True, "3")


def test_the_verdict_is_the_same_after_the_evidence_was_stored():
    evidence = {**EVIDENCE, "champion": champion(), "dsr": None}
    stored = json.loads(json.dumps(evidence))
    profile = [*GATES["own"], Gate(gate="luck", figure="dsr", op=">", threshold=0.9, why="")]
    found = decide(profile, stored, SESSION)
    assert found["missed"] == ["luck"]
    assert [g["passed"] for g in found["gates"]] == [g["passed"] for g in decide(profile, evidence, SESSION)["gates"]]


def test_a_model_of_an_earlier_session_never_replaces_the_champion():
    assert not_older_than_champion("2021-03-01", None).passed
    assert not_older_than_champion("2021-03-02", "2021-03-01").passed
    assert not_older_than_champion("2021-03-01", "2021-03-01").passed
    older = not_older_than_champion("2021-02-28", "2021-03-01")
    assert not older.passed
    assert "2021-02-28" in older.reason


def shipped() -> dict[str, list[Gate]]:
    raw = yaml.safe_load((Path(fx_assets.__file__).parent / "config" / "gates.yaml").read_text())
    return {name: [Gate(**gate) for gate in gates] for name, gates in raw.items()}


def test_the_gates_of_every_model_follow_a_profile_that_does_not_state_them_itself():
    gates = shipped()
    whole = [gate.gate for gate in profile_of(gates, "statistical")]
    assert whole == [g.gate for g in (*gates["statistical"], *gates["always"])]
    stricter = Gate(gate="latency", figure="latency.cpu_p99_us", op="<=", threshold=10, why="")
    own = profile_of({**gates, "fast": [stricter]}, "fast")
    assert [g.threshold for g in own if g.gate == "latency"] == [10]
    assert profile_of({"own": GATES["own"]}, "own") == GATES["own"]


def difference(low: float, high: float) -> dict[str, float]:
    return {"value": (low + high) / 2, "low": low, "high": high}


@pytest.mark.parametrize(
    ("spoil", "missed"),
    [
        ({}, []),
        ({"ece": difference(0.06, 0.09)}, ["calibration"]),
        ({"latency": {"cpu_p99_us": 2500.0}}, ["latency"]),
        ({"latency": None}, ["latency"]),
        ({"champion.importance": {"overlap": 0.2}}, ["importance"]),
        ({"champion.regression.auc": difference(-0.05, -0.01)}, ["regression_auc"]),
        ({"champion.regression.brier": difference(0.001, 0.004)}, ["regression_brier"]),
        ({"champion.regression.ece": difference(0.01, 0.03)}, ["regression_calibration"]),
        ({"champion": None}, []),
    ],
)
def test_the_shipped_gates_of_every_model(spoil, missed):
    same = difference(-0.01, 0.01)
    evidence: dict[str, Any] = {
        "ece": difference(0.01, 0.02),
        "latency": {"cpu_p99_us": 40.0},
        "champion": {"regression": {"auc": same, "brier": same, "ece": same}, "importance": {"overlap": 0.8}},
    }
    for path, value in spoil.items():
        *above, last = path.split(".")
        node = evidence
        for key in above:
            node = node[key]
        node[last] = value
    results = judge([gate.model_dump() for gate in shipped()["always"]], evidence)
    assert [r.name for r in results if not r.passed] == missed
    assert all(r.reason for r in results)


def month(sharpe: float, net: float, drawdown: float, days: int = 22) -> dict[str, Any]:
    return {
        "backtest": {
            "last_30d": {"sharpe_net": {"value": sharpe}, "net_return": net, "max_drawdown": drawdown} | {"days": days}
        }
    }


@pytest.mark.parametrize(
    ("profile", "evidence", "missed"),
    [
        ("paper_30d", month(1.2, 0.01, 0.05), []),
        ("paper_30d", month(1.0, 0.01, 0.05), ["sharpe_30d"]),
        ("paper_30d", month(1.2, 0.0, 0.05), ["profit_30d"]),
        ("paper_30d", month(1.2, 0.01, 0.15), ["drawdown_30d"]),
        ("paper_30d", month(1.2, 0.01, 0.05, days=12), ["days_30d"]),
        ("auc_070", {"auc": {"low": 0.699}}, ["auc"]),
        ("auc_095", {"auc": {"low": 0.949}}, ["auc"]),
        ("auc_070", {"auc": {"low": 0.70}}, []),
        ("auc_095", {"auc": {"low": 0.95}}, []),
    ],
)
def test_the_further_shipped_profiles(profile, evidence, missed):
    rest = {
        "worst_fold": {"auc": 0.93},
        "auc_vs_baseline": {"low": 0.1},
        "ece": {"value": 0.02},
        "n_effective": 5000.0,
    }
    results = judge([gate.model_dump() for gate in shipped()[profile]], {**rest, **evidence})
    assert [r.name for r in results if not r.passed] == missed

"""Gates: verdicts, missing figures, and the shipped profiles."""

from pathlib import Path

import pytest
import yaml

import fx_assets
from fx_assets.evaluation.gates import judge

GATE = {"gate": "margin", "figure": "auc_vs_baseline.low", "op": ">", "threshold": 0.005, "why": "a margin"}


@pytest.mark.parametrize(
    ("op", "value", "passed"),
    [
        (">", 1.0, False),
        (">=", 1.0, True),
        ("<", 1.0, False),
        ("<=", 1.0, True),
        (">", 1.1, True),
        ("<", 0.9, True),
    ],
)
def test_operators_at_the_threshold(op, value, passed):
    (result,) = judge([{**GATE, "op": op, "threshold": 1.0, "figure": "x"}], {"x": value})
    assert result.passed is passed
    assert "a margin" in result.reason


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"auc_vs_baseline": None},
        {"auc_vs_baseline": {"low": float("nan")}},
        {"auc_vs_baseline": {"low": "many"}},
    ],
)
def test_a_missing_figure_fails_with_a_reason(figures):
    (result,) = judge([GATE], figures)
    assert not result.passed
    assert "auc_vs_baseline.low is missing or not a number" in result.reason


def test_a_broken_profile_is_refused():
    with pytest.raises(ValueError, match=r"gate margin: op '=>' is not one of > >= < <="):
        judge([{**GATE, "op": "=>"}], {})
    with pytest.raises(ValueError, match="threshold missing"):
        judge([{k: v for k, v in GATE.items() if k != "threshold"}], {})


def test_shipped_profiles_fail_an_empty_study_and_have_distinct_gates():
    path = Path(fx_assets.__file__).parent / "config" / "gates.yaml"
    profiles = yaml.safe_load(path.read_text())
    assert set(profiles) == {"always", "statistical", "trading", "auc_070", "auc_095", "paper_30d"}
    for profile in profiles.values():
        results = judge(profile, {})
        assert not any(result.passed for result in results)
        assert len({result.name for result in results}) == len(results)


@pytest.mark.parametrize(
    ("figures", "passed", "reason"),
    [
        ({"champion": None}, True, "there is no champion yet"),
        ({}, False, "champion.importance.overlap is missing or not a number"),
        ({"champion": {}}, False, "champion.importance.overlap is missing or not a number"),
        ({"champion": {"importance": {"overlap": 0.4}}}, True, "0.4 meets >= 0.4"),
        ({"champion": {"importance": {"overlap": 0.3}}}, False, "0.3 misses >= 0.4"),
    ],
)
def test_a_comparison_passes_only_where_there_is_said_to_be_no_champion(figures, passed, reason):
    gate = {**GATE, "figure": "champion.importance.overlap", "op": ">=", "threshold": 0.4}
    (result,) = judge([gate], figures)
    assert result.passed is passed
    assert reason in result.reason

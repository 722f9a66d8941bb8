"""A study's settings, taken from an entry of models.yaml."""

import msgspec
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.evaluation.spec import Folding, Ledger, StudySpec, plain_candidate

FOUND = {"name": "searched", "algorithm": "lightgbm", "rounds": 50, "params": {"num_leaves": 7}}
COSTS = pd.DataFrame(
    {"instrument": "GBP_USD", "hour": range(24), "half_spread": 1e-5, "rows": 100, "source": "recorded"}
)


def test_an_entry_says_everything_but_costs_and_features():
    entry = load_configuration().models.models["move_60m"]
    spec = StudySpec.for_model(entry, ["a", "b"], {"GBP_USD": 5e-5}, COSTS, extra_candidates=[FOUND], seed=11)
    assert spec.feature_names == ("a", "b")
    assert [c["name"] for c in spec.candidates] == [*(c.name for c in entry.candidates), "searched"]
    assert spec.candidates[-1] == plain_candidate(FOUND)
    assert (spec.label_kind, spec.label, spec.target) == ("large_move", "large_move_60m", "binary")
    assert spec.validation == Folding("walk_forward", entry.validation.folds, entry.validation.embargo_minutes)
    assert spec.latency_bars == entry.strategy.latency_bars == 1
    assert spec.threshold == entry.strategy.threshold
    assert spec.swap_per_day == {"GBP_USD": 0.0}
    assert spec.ledger == Ledger()
    assert spec.seed == 11 != entry.seed
    assert spec.embargo == pd.Timedelta(minutes=entry.validation.embargo_minutes)
    pd.testing.assert_frame_equal(spec.costs_table(), COSTS, check_dtype=False)
    raw = msgspec.json.encode(spec)
    assert msgspec.json.decode(raw, type=StudySpec) == spec
    assert msgspec.convert(msgspec.to_builtins(spec), StudySpec) == spec


def test_a_candidate_of_the_entry_goes_before_one_of_the_same_name():
    entry = load_configuration().models.models["move_60m"]
    same = {**FOUND, "name": entry.candidates[0].name}
    spec = StudySpec.for_model(entry, ["a"], {"GBP_USD": 5e-5}, extra_candidates=[same])
    assert len(spec.candidates) == len(entry.candidates)
    assert spec.candidates[0]["algorithm"] == "xgboost"
    assert spec.costs_table().empty


def test_candidates_that_say_the_same_are_the_same():
    said = {"name": "x", "algorithm": "xgboost", "rounds": 5, "params": {"b": 1, "a": 2}}
    full = {**said, "params": {"a": 2, "b": 1}, "seeds": 1, "calibration": "none"}
    assert list(plain_candidate(said).items()) == list(plain_candidate(full).items())
    assert list(plain_candidate(said)["params"]) == ["a", "b"]
    with pytest.raises(KeyError):
        plain_candidate({"algorithm": "xgboost"})

"""The study on worlds whose truth is known: one with a signal, one without, one with a leak."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml

import fx_assets
from fx_assets.evaluation import splits
from fx_assets.evaluation.gates import judge, lookup
from fx_assets.evaluation.spec import Folding, Ledger, StudySpec
from fx_assets.evaluation.study import evaluate
from fx_assets.evaluation.training import fit_predictor
from tests.fx_assets.evaluation.worlds import ALGORITHMS, CANDIDATES, HOUR, spec, world


def study(frame: pd.DataFrame, kind: str = "direction", progress=None, canaries=False, **fields):
    return evaluate(frame, spec(kind, **fields), progress, canaries=canaries)


@pytest.fixture(scope="module")
def good():
    return study(world(0.5), canaries=True)


def test_a_real_signal_is_found_in_every_fold_and_passes_the_gates(good):
    figures = good.figures
    assert figures["auc"]["low"] > 0.6
    assert figures["worst_fold"]["auc"] > 0.58
    assert figures["fold_share_above_baseline"] == 1.0
    assert figures["backtest"]["sharpe_net"]["low"] > 2
    assert figures["dsr"] > 0.95
    results = judge(_profiles()["trading"], figures | {"champion": None})
    # Two candidates that follow the same signal cannot show which of them is better: overfitting is left out.
    failed = {result.name for result in results if not result.passed}
    assert failed <= {"overfitting", "plausible"}, [r.reason for r in results]


def test_noise_passes_nothing_that_matters():
    figures = study(world(0.0)).figures
    assert figures["auc"]["low"] < 0.5 + 0.02
    assert figures["auc_vs_baseline"]["low"] < 0.005
    for name in ("statistical", "trading"):
        assert not all(result.passed for result in judge(_profiles()[name], figures))


def test_a_leaked_feature_is_too_good_to_be_true():
    frame = world(0.0)
    figures = study(frame.assign(signal=frame["forward_return"])).figures
    for name in ("statistical", "trading"):
        verdict = {result.name: result.passed for result in judge(_profiles()[name], figures)}
        assert verdict["plausible"] is False


def test_every_shipped_gate_finds_its_figure(good):
    # What lies outside a study (latency, the champion) is added by the model's evaluation.
    elsewhere = ("champion.", "latency.", "naive.")
    for profile in _profiles().values():
        for gate in profile:
            if gate["figure"].startswith(elsewhere):
                continue
            assert not np.isnan(lookup(good.figures, gate["figure"])), gate["gate"]


def test_figures_are_json_and_say_what_was_tried(good):
    again = json.loads(json.dumps(good.figures, allow_nan=False))
    assert again["trials"] == 2
    assert [c["name"] for c in again["candidates"]] == ["stumps", "trees"]
    assert again["chosen"] == min(again["candidates"], key=lambda c: c["log_loss"])["name"] == good.chosen["name"]
    assert [c["algorithm"] for c in again["candidates"]] == ["xgboost", "xgboost"]
    assert again["trials_counted"] == {"candidates": 2, "search": 0, "strategy": 0}
    naive = {"zero_rule", "last_sign", "hour_of_day", "persistence", "volatility_persistence"}
    assert set(again["baselines"]) == naive < set(good.predictions.columns)
    assert len(again["folds"]) == 4
    assert sum(fold["test_rows"] for fold in again["folds"]) == again["n"] == len(good.predictions)


def test_predictions_are_out_of_fold_and_repeatable(good):
    frame = world(0.5)
    lines: list[str] = []
    again = study(frame.sample(frac=1.0, random_state=1), progress=lines.append, canaries=True)
    assert again.predictions.equals(good.predictions)
    assert again.figures == good.figures
    assert again.trades.equals(good.trades)
    assert [line for line in lines if line.startswith("fold ")][-1].startswith("fold 4/4 trees: ")
    assert sum(line.startswith("fold ") for line in lines) == 8
    # A changed last block cannot change what was predicted before it.
    last = good.predictions["fold"] == 3
    begin = good.predictions.loc[last, "decision_time"].min()
    changed = frame.assign(label=frame["label"].where(frame["decision_time"] < begin, 1 - frame["label"]))
    one = [c for c in CANDIDATES if c["name"] == good.chosen["name"]]
    other = study(changed, candidates=tuple(one)).predictions
    assert (other["prediction"][~last] == good.predictions["prediction"][~last]).all()
    assert (other["label"][last] != good.predictions["label"][last]).all()


def test_the_accounts_and_the_trades_belong_to_the_chosen_candidate(good):
    net = good.daily["gross"] - good.daily["cost"]
    assert net.to_numpy() == pytest.approx(good.daily_net[good.chosen["name"]].to_numpy())
    assert net.sum() == pytest.approx(good.figures["backtest"]["net_return"])
    assert len(good.trades) == good.figures["backtest"]["trades"]


def test_a_large_move_model_trades_only_when_it_expects_a_move():
    figures = study(world(0.5), "large_move").figures
    assert 0.2 < figures["backtest"]["exposure"] < 0.8
    assert figures["label_kind"] == "large_move"


def test_long_horizons_are_traded_without_overlap():
    frame = world(0.2)
    four = frame.assign(label_end=frame["decision_time"] + 4 * HOUR)
    result = study(four).figures
    assert result["backtest"]["trades"] <= result["n"] / 4 + 2


def test_the_canaries_are_quiet_and_awake_when_nothing_leaks(good):
    canaries = good.figures["canaries"]
    for name in ("random_labels", "persistent_labels", "shifted_features"):
        assert 0.45 < canaries[name]["value"] < 0.55, name
    assert canaries["future_feature"]["low"] > 0.55
    assert good.figures["random_label_auc"]["value"] == canaries["random_labels"]["value"]
    assert good.fold_problems == []


def test_folds_that_leak_are_named(monkeypatch):
    honest = splits.folds

    def shuffled(rows, validation):
        order = np.random.default_rng(0).permutation(len(rows))
        sizes = [len(fold.test) for fold in honest(rows, validation)]
        return [splits.Fold(np.sort(order[size:]), np.sort(order[:size])) for size in sizes]

    monkeypatch.setattr(splits, "folds", shuffled)
    assert study(world(0.2, rows=600)).fold_problems


def test_every_algorithm_is_compared_on_the_same_folds():
    frame = world(0.5)
    found = study(frame, candidates=ALGORITHMS)
    table = {c["algorithm"]: c for c in found.figures["candidates"]}
    assert set(table) == {"xgboost", "lightgbm", "catboost", "random_forest", "logistic"}
    assert all(c["auc"] > 0.6 for c in table.values())
    # The signal is linear: the plainest algorithm is the best, and is chosen.
    assert found.chosen["algorithm"] == "logistic"
    assert next(iter(found.figures["importance"])) == "signal"
    alone = study(frame, candidates=ALGORITHMS[:1])
    assert alone.figures["candidates"][0] == found.figures["candidates"][0]


def test_calibration_mends_an_overconfident_model_inside_the_fold():
    sure = {"name": "sure", "algorithm": "xgboost", "params": {"max_depth": 6, "eta": 0.3}, "rounds": 60}
    methods = ("none", "platt", "isotonic")
    both = {m: study(world(0.3), candidates=({**sure, "calibration": m},)).figures for m in methods}
    by_fold = {m: both[m]["calibration"]["per_fold_ece"] for m in methods}
    assert both["none"]["ece"]["value"] > 0.08
    for method in ("platt", "isotonic"):
        assert both[method]["calibration"]["method"] == method
        assert both[method]["ece"]["value"] < 0.05
        assert len(by_fold[method]) == 4
        assert np.mean(by_fold[method]) < np.mean(by_fold["none"])
    assert both["platt"]["auc"]["value"] == pytest.approx(both["none"]["auc"]["value"], abs=0.01)


def test_an_ensemble_of_seeds_steadies_the_forecast_and_the_spread_over_seeds_is_told():
    params = {"max_depth": 5, "subsample": 0.3, "eta": 0.3}
    noisy = {"name": "n", "algorithm": "xgboost", "params": params, "rounds": 30}
    four = Folding(folds=4, embargo_minutes=120, seeds=4)
    alone = study(world(0.2), candidates=(noisy,), validation=four)
    joint = study(world(0.2), candidates=({**noisy, "seeds": 5},), validation=four)
    for found in (alone, joint):
        told = found.figures["seeds"]
        assert told["count"] == 4
        assert told["auc"]["low"] < told["auc"]["mean"] < told["auc"]["high"]
    assert joint.figures["seeds"]["auc"]["std"] < alone.figures["seeds"]["auc"]["std"]
    assert joint.figures["seeds"]["log_loss"]["mean"] < alone.figures["seeds"]["log_loss"]["mean"]
    assert study(world(0.2), candidates=(noisy,)).figures["seeds"]["auc"]["std"] == 0.0


def test_earlier_trials_deflate_the_sharpe_ratio():
    frame = world(0.05)
    fresh = study(frame).figures
    tried = Ledger(40, tuple(np.linspace(-0.3, 0.3, 40)), {"search": 30, "strategy": 10})
    tired = study(frame, ledger=tried).figures
    assert tired["trials"] == fresh["trials"] + 40 == sum(tired["trials_counted"].values())
    assert tired["trials_counted"] == {"candidates": 2, "search": 30, "strategy": 10}
    assert tired["dsr"] < fresh["dsr"]
    assert tired["auc"] == fresh["auc"]


def test_returns_are_forecast_and_judged_as_returns_and_as_signs():
    frame = world(0.5).assign(label=lambda f: f["forward_return"])
    frame.loc[::50, "forward_return"] = np.nan
    found = study(frame, "return", target="real", canaries=True)
    figures = found.figures
    assert figures["n"] == len(found.predictions) < len(frame)
    assert set(found.predictions["label"].unique()) == {0.0, 1.0}
    assert figures["regression"]["r2"]["low"] > 0.1
    assert 0.3 < figures["regression"]["rank_ic"]["value"] < 0.6
    assert figures["regression"]["rmse"]["value"] == pytest.approx(1e-3, rel=0.1)
    assert figures["auc"]["low"] > 0.6
    # Normal errors were put into the world: the implied probability of a rise is one.
    assert figures["ece"]["value"] < 0.05
    p, forecast = found.predictions["prediction"], found.predictions["forecast"]
    assert ((p > 0.5) == (forecast > 0)).all()
    json.dumps(figures, allow_nan=False)
    drawn = ({**CANDIDATES[1], "params": {"max_depth": 3, "subsample": 0.5}},)
    twice = Folding(folds=4, embargo_minutes=120, seeds=2)
    again = study(frame, "return", target="real", candidates=drawn, validation=twice)
    assert again.figures["seeds"]["log_loss"]["std"] > 0


def test_a_meta_model_takes_the_primary_side_only_where_it_trusts_it():
    frame = world(0.8)
    rng = np.random.default_rng(5)
    side = np.where(rng.random(len(frame)) < 0.5, 1.0, -1.0)
    right = (side * frame["forward_return"] > 0).astype(float)
    frame = frame.assign(side=side, label=right, signal=side * frame["signal"])
    found = study(frame, "meta")
    assert (found.predictions["side"].abs() == 1).all()
    assert found.figures["backtest"]["win_rate"] > 0.6
    assert found.figures["backtest"]["exposure"] < 0.8
    with pytest.raises(ValueError, match=r"column\(s\) side missing"):
        study(frame.drop(columns="side"), "meta")


@pytest.mark.parametrize("method", ["kfold", "combinatorial"])
def test_other_ways_to_cut_test_every_row(method):
    frame = world(0.4, rows=1200)
    found = study(frame, validation=Folding(method=method, folds=5, embargo_minutes=120, held_out=2))
    figures = found.figures
    assert figures["n"] == len(found.predictions) == len(frame)
    assert found.fold_problems == []
    assert found.predictions["prediction"].notna().all()
    assert figures["auc"]["low"] > 0.57
    if method == "combinatorial":
        assert len(figures["folds"]) == 10
        assert figures["paths"]["count"] == 4
        assert figures["paths"]["auc"]["low"] > 0.57
        json.dumps(figures, allow_nan=False)


def test_final_fits_are_byte_identical_and_are_what_the_folds_had():
    frame = world(0.5)
    asked = spec(seed=7)
    first = fit_predictor(frame, CANDIDATES[1], asked)
    again = fit_predictor(frame.sample(frac=1.0, random_state=0).sort_index(), CANDIDATES[1], asked)
    assert first.save() == again.save()
    assert first.features == asked.feature_names
    found = evaluate(frame, asked, canaries=False)
    last = found.predictions[found.predictions["fold"] == 3]
    begin = last["decision_time"].min() - 2 * HOUR
    rows = frame.sort_values(["decision_time", "instrument"], kind="stable")
    before = fit_predictor(rows[rows["label_end"] <= begin], found.chosen, asked)
    keys = list(zip(last["instrument"], last["decision_time"], strict=True))
    x = rows.set_index(["instrument", "decision_time"]).loc[keys]
    assert (before.predict(x[list(asked.feature_names)].to_numpy(np.float32)) == last["prediction"].to_numpy()).all()


def test_a_spec_is_plain_data(good):
    asked = spec(ledger=Ledger(3, (0.1,), {"search": 3}), candidates=ALGORITHMS)
    raw = msgspec.json.encode(asked)
    assert msgspec.json.decode(raw, type=StudySpec) == asked
    assert msgspec.json.encode(msgspec.json.decode(raw, type=StudySpec)) == raw


def test_unusable_requests_are_refused():
    frame = world(0.0, rows=50)
    with pytest.raises(ValueError, match=r"column\(s\) signal missing"):
        study(frame.drop(columns="signal"))
    with pytest.raises(ValueError, match="label kind 'up'"):
        study(frame, "up")
    with pytest.raises(ValueError, match="no half spread for B"):
        study(frame, typical={"A": 1e-5})
    with pytest.raises(ValueError, match="algorithm 'tabnet' is unknown"):
        study(world(0.0, rows=400), candidates=({"name": "x", "algorithm": "tabnet", "rounds": 1},))
    with pytest.raises(ValueError, match="no candidates"):
        study(frame, candidates=())
    with pytest.raises(ValueError, match="1 rows repeat an instrument and decision time"):
        study(pd.concat([frame, frame.iloc[[3]]]))
    with pytest.raises(ValueError, match="only probabilities can be calibrated"):
        study(world(0.0, rows=400), "return", target="real", candidates=({**CANDIDATES[0], "calibration": "platt"},))


def _profiles() -> dict:
    return yaml.safe_load((Path(fx_assets.__file__).parent / "config" / "gates.yaml").read_text())

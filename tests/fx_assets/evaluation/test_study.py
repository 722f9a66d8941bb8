"""The study on worlds whose truth is known: one with a signal, one without, one with a leak."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import fx_assets
from fx_assets.evaluation.gates import judge, lookup
from fx_assets.evaluation.study import evaluate, random_label_auc
from fx_assets.evaluation.training import fit_final

NAMES = ["signal", "noise", "log_return_1"]
CANDIDATES = [
    {"name": "stumps", "algorithm": "xgboost", "params": {"max_depth": 1, "eta": 0.1}, "rounds": 30},
    {"name": "trees", "algorithm": "xgboost", "params": {"max_depth": 3, "eta": 0.1}, "rounds": 30},
]
SPREAD = {"A": 1e-5, "B": 1e-5}
HOUR = pd.Timedelta(hours=1)


def world(strength: float, rows: int = 2500, seed: int = 0) -> pd.DataFrame:
    """Two instruments whose hourly direction follows `signal` with the given strength."""
    parts = []
    for k, name in enumerate("AB"):
        rng = np.random.default_rng(seed + k)
        signal = rng.normal(0, 1, rows)
        forward = 1e-3 * (strength * signal + rng.normal(0, 1, rows))
        time = pd.date_range("2021-01-04", periods=rows, freq="1h", tz="UTC").as_unit("us")
        frame = pd.DataFrame({"instrument": name, "time": time, "decision_time": time + HOUR})
        parts.append(
            frame.assign(
                label=(forward > 0).astype(float),
                label_end=time + 2 * HOUR,
                forward_return=forward,
                signal=signal,
                noise=rng.normal(0, 1, rows),
                log_return_1=np.concatenate([[0.0], forward[:-1]]),
                persistence=np.abs(rng.normal(0, 1, rows)),
            )
        )
    return pd.concat(parts, ignore_index=True)


def study(frame: pd.DataFrame, kind: str = "direction", **options):
    return evaluate(frame, NAMES, CANDIDATES, 4, pd.Timedelta(hours=2), kind, SPREAD, **options)


@pytest.fixture(scope="module")
def good():
    return study(world(0.5))


def test_a_real_signal_is_found_in_every_fold_and_passes_the_gates(good):
    figures = good.figures
    assert figures["auc"]["low"] > 0.6
    assert figures["worst_fold"]["auc"] > 0.58
    assert figures["fold_share_above_baseline"] == 1.0
    assert figures["backtest"]["sharpe_net"]["low"] > 2
    assert figures["dsr"] > 0.95
    results = judge(_profiles()["trading"], figures)
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
    for profile in _profiles().values():
        for gate in profile:
            assert not np.isnan(lookup(good.figures, gate["figure"])), gate["gate"]


def test_figures_are_json_and_say_what_was_tried(good):
    again = json.loads(json.dumps(good.figures, allow_nan=False))
    assert again["trials"] == 2
    assert [c["name"] for c in again["candidates"]] == ["stumps", "trees"]
    assert again["chosen"] == min(again["candidates"], key=lambda c: c["log_loss"])["name"] == good.chosen["name"]
    assert set(again["baselines"]) == {"zero_rule", "last_sign", "hour_of_day", "volatility_persistence"}
    assert len(again["folds"]) == 4
    assert sum(fold["test_rows"] for fold in again["folds"]) == again["n"] == len(good.predictions)


def test_predictions_are_out_of_fold_and_repeatable(good):
    frame = world(0.5)
    lines: list[str] = []
    again = study(frame.sample(frac=1.0, random_state=1), progress=lines.append)
    assert again.predictions.equals(good.predictions)
    assert again.figures == good.figures
    assert len(lines) == 8
    # A changed last block cannot change what was predicted before it.
    last = good.predictions["fold"] == 3
    begin = good.predictions.loc[last, "decision_time"].min()
    changed = frame.assign(label=frame["label"].where(frame["decision_time"] < begin, 1 - frame["label"]))
    other = study(changed).predictions
    if study(changed).chosen == good.chosen:
        assert (other["prediction"][~last] == good.predictions["prediction"][~last]).all()


def test_a_large_move_model_trades_only_when_it_expects_a_move():
    figures = study(world(0.5), "large_move").figures
    assert 0.2 < figures["backtest"]["exposure"] < 0.8
    assert figures["label_kind"] == "large_move"


def test_long_horizons_are_traded_without_overlap():
    frame = world(0.2)
    four = frame.assign(label_end=frame["decision_time"] + 4 * HOUR)
    result = study(four).figures
    assert result["backtest"]["trades"] <= result["n"] / 4 + 2


def test_the_canary_is_quiet_when_nothing_leaks():
    frame = world(0.5)
    figure = random_label_auc(frame, NAMES, CANDIDATES[1], 4, pd.Timedelta(hours=2))
    assert figure["low"] < 0.5 < figure["high"]
    assert 0.46 < figure["value"] < 0.54


def test_final_fits_are_byte_identical():
    frame = world(0.5)
    first = fit_final(frame, NAMES, CANDIDATES[1], seed=7, nthread=2)
    again = fit_final(frame, NAMES, CANDIDATES[1], seed=7, nthread=2)
    assert bytes(first.save_raw("ubj")) == bytes(again.save_raw("ubj"))
    assert first.feature_names == NAMES


def test_unusable_requests_are_refused():
    frame = world(0.0, rows=50)
    with pytest.raises(ValueError, match="column\\(s\\) signal missing"):
        study(frame.drop(columns="signal"))
    with pytest.raises(ValueError, match="label kind 'up'"):
        study(frame, "up")
    with pytest.raises(ValueError, match="no half spread for B"):
        evaluate(frame, NAMES, CANDIDATES, 4, HOUR, "direction", {"A": 1e-5})
    with pytest.raises(ValueError, match="algorithm 'forest' is unknown"):
        fit_final(frame, NAMES, {"name": "x", "algorithm": "forest", "rounds": 1})


def _profiles() -> dict:
    return yaml.safe_load((Path(fx_assets.__file__).parent / "config" / "gates.yaml").read_text())

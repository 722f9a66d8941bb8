"""Every kind of label and scope through the whole group of assets: only models.yaml differs."""

import shutil

import pandas as pd
import pytest

from fx_assets.automation.retraining import TRAINING_STEPS
from fx_assets.models import registry
from fx_serving.client.bundle import read_manifest
from fx_serving.client.home import Stores
from tests.fx_assets.small import TINY, Platform, checks, configuration_of, made, write_config

SESSION = "2021-03-15"
STEPS = [step for step in TRAINING_STEPS if step != "model_bundle"]
ENTRY = {
    "training": {"sessions": 85, "min_rows": 500},
    "validation": {"folds": 2, "embargo_minutes": 60},
    "gates": "easy",
}
LOGISTIC = {"name": "line", "algorithm": "logistic", "rounds": 50, "calibration": "platt"}
# Few rows that overlap weigh little: as shipped, a forest would hardly split.
LIVELY = {"max_depth": 4, "colsample_bynode": 1.0, "min_child_weight": 5}
FOREST = {"name": "forest", "algorithm": "random_forest", "rounds": 20, "params": LIVELY, "seeds": 2}
BARRIERS = {"timeout_bars": 12, "up": 1.5, "down": 1.5}
MODELS = {
    "models": {
        "side": {**ENTRY, "label": {"kind": "triple_barrier", **BARRIERS}, "candidates": [LOGISTIC], "deploy": True},
        "pays": {**ENTRY, "label": {"kind": "meta", **BARRIERS, "primary": "side"}, "candidates": [FOREST]},
        "follow": {**ENTRY, "label": {"kind": "meta", **BARRIERS}, "candidates": [TINY]},
        "far": {
            **ENTRY,
            "label": {"kind": "return", "horizon_bars": 2},
            "candidates": [TINY, LOGISTIC | {"calibration": "none"}],
        },
        "own": {
            **ENTRY,
            "label": {"kind": "direction", "horizon_bars": 1},
            "candidates": [{**LOGISTIC, "calibration": "isotonic"}],
            "instruments": ["USD_JPY"],
            "scope": "instrument",
        },
    }
}


@pytest.fixture(scope="module")
def platform(history, instance, tmp_path_factory) -> Platform:
    home = tmp_path_factory.mktemp("kinds")
    shutil.copytree(history.home / "lake", home / "lake")
    folder = write_config(tmp_path_factory.mktemp("config"), models=MODELS)
    with pytest.MonkeyPatch.context() as patch:
        made_here = Platform(home, configuration_of(folder, patch), instance)
    made_here.run(["gold/labels"], "2020-10-01", SESSION)
    made_here.run(["feature_registry"])
    return made_here


def train(platform: Platform, model: str, *more: str) -> pd.DataFrame:
    """Train, judge and promote a model; its rows out of fold."""
    steps = [f"{model}/{step}" for step in (*STEPS, *more)]
    result = platform.run(steps, SESSION)
    assert sorted(made(result)) == sorted(steps)
    assert checks(result)[f"{model}/model_study/leak_canary"].passed
    assert checks(result)[f"{model}/model_study/folds_audited"].passed
    found = registry.record(Stores(platform.home), model, "1")
    assert (found.session, found.gates, found.lacks) == (SESSION, "approved", [])
    return platform.lake.read(f"models/{model}/out_of_fold", [SESSION])[SESSION]


@pytest.mark.slow
def test_triple_barriers_are_exported_and_a_meta_label_follows_them(platform):
    rows = train(platform, "side", "model_bundle")
    assert set(rows["label"].unique()) == {0.0, 1.0}
    # A label ends where a barrier is touched, after twelve bars at the latest.
    held = rows["label_end"] - rows["decision_time"]
    assert held.min() == pd.Timedelta("1h")
    assert held.nunique() > 5
    manifest = read_manifest(platform.home / "bundles" / "side" / "1")
    assert (manifest.label.kind, manifest.label.positive, manifest.label.negative) == ("triple_barrier", "up", "down")
    assert manifest.engine == "onnx"

    meta = train(platform, "pays")
    # It judges the sides that the primary named out of fold, and no others.
    sides = rows.set_index(["instrument", "time"])["prediction"]
    own = sides.reindex(pd.MultiIndex.from_frame(meta[["instrument", "time"]]))
    assert own.notna().all()
    assert (meta["side"].to_numpy() == (own.to_numpy() > 0.5) * 2 - 1).all()


@pytest.mark.slow
def test_a_meta_label_may_follow_the_last_sign(platform):
    rows = train(platform, "follow")
    assert set(rows["side"].unique()) == {-1, 1}
    # A side that paid is one whose return has its sign, before costs; a timeout may end anywhere.
    paid = rows["side"] * rows["forward_return"] > 0
    assert (paid == (rows["label"] == 1)).mean() > 0.95


@pytest.mark.slow
def test_a_return_is_foretold_and_registered_but_not_exported(platform):
    rows = train(platform, "far")
    assert rows["forecast"].abs().max() < 0.05
    assert rows["prediction"].between(0, 1).all()
    assert not (platform.home / "bundles" / "far").exists()


@pytest.mark.slow
def test_a_model_of_one_instrument_sees_that_one_only(platform):
    rows = train(platform, "own_usd_jpy")
    assert set(rows["instrument"]) == {"USD_JPY"}
    # A bar is an hour; the horizon in bars also spans hours in which the market was closed.
    assert (rows["label_end"] - rows["decision_time"]).max() > pd.Timedelta("1d")

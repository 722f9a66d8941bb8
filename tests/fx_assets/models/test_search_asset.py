"""hyperparameter_search as an asset: it is there when it is asked for, and its result takes part in the study."""

import shutil

import msgspec
import pytest

from fx_assets.evaluation import trials
from fx_assets.lake import Lake
from fx_assets.models import search
from tests.fx_assets.small import GATES, MODELS, Platform, changed, configuration_of, write_config

SESSION = "2021-03-15"
SPACE = {"max_depth": {"low": 1, "high": 3, "whole": True}, "eta": {"low": 0.05, "high": 0.5, "log": True}}


@pytest.fixture(scope="module")
def platform(history, instance, tmp_path_factory) -> Platform:
    home = tmp_path_factory.mktemp("searched")
    shutil.copytree(history.home / "lake", home / "lake")
    wanted = {"trials": 3, "rounds": 8, "space": SPACE}
    folder = write_config(
        tmp_path_factory.mktemp("config"), models=changed(MODELS, models__move__search=wanted), gates=GATES
    )
    with pytest.MonkeyPatch.context() as patch:
        made_here = Platform(home, configuration_of(folder, patch), instance)
    made_here.run(["feature_registry"])
    return made_here


def record(lake: Lake, step: str) -> dict:
    return msgspec.json.decode(lake.store.read(f"models/move/{step}/session={SESSION}/record.json"))


@pytest.mark.slow
def test_a_searched_candidate_is_studied_and_every_trial_is_counted(platform, history):
    keys = {"/".join(key.path) for key in platform.definitions.resolve_asset_graph().get_all_asset_keys()}
    assert f"move/{search.TABLE}" in keys
    plain = {"/".join(key.path) for key in history.definitions.resolve_asset_graph().get_all_asset_keys()}
    assert f"move/{search.TABLE}" not in plain

    result = platform.run(["move/training_set", f"move/{search.TABLE}", "move/model_study"], SESSION)
    order = [event.asset_key.path[-1] for event in result.get_asset_materialization_events()]
    assert order.index(search.TABLE) < order.index("model_study")
    found, study = record(platform.lake, search.TABLE), record(platform.lake, "model_study")
    assert len(found["trials"]) == 3
    assert found["scope"] == "untested"
    figures = study["figures"]
    assert [c["name"] for c in figures["candidates"]] == ["tiny", "searched"]
    assert figures["trials_counted"] == {"candidates": 2, "search": 2, "strategy": 0}
    assert figures["trials"] == 4
    assert (platform.home / "studies" / "move" / f"{SESSION}.journal").is_file()
    materialized = [e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == search.TABLE]
    metadata = materialized[0].materialization.metadata
    assert {"history", "importance", "best_trials", "trials"} <= set(metadata)
    assert "data:image/png;base64" in str(metadata["history"].value)

    # Made again, it is read from its journal; the study finds the same figures, and no trial is counted twice.
    before = trials.entries(platform.lake, "move", SESSION)
    platform.run([f"move/{search.TABLE}", "move/model_study"], SESSION)
    assert record(platform.lake, search.TABLE) == found
    assert record(platform.lake, "model_study") == study
    assert trials.entries(platform.lake, "move", SESSION) == before
    assert len(before) == 3 + 2

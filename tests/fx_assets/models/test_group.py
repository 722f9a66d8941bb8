"""A whole group of model assets on a small configuration: trained, judged, promoted and exported, or rejected."""

import shutil
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from fx_assets.lineage import CODE_VERSION
from fx_assets.models.promotion import history
from fx_assets.models.registry import (
    CHALLENGER,
    CHAMPION,
    LINEAGE_TAGS,
    gold,
    open_registry,
    record,
    version_tags,
    version_with_alias,
)
from fx_serving.client.bundle import read_manifest, verify_files
from fx_serving.client.home import Stores
from tests.fx_assets.small import GATES, MODELS, Platform, changed, checks, configuration_of, made, write_config

SESSION, LATER = "2021-03-15", "2021-03-16"
STEPS = (
    "training_set",
    "model_study",
    "trained_model",
    "model_evaluation",
    "promotion_decision",
    "promoted_model",
    "model_bundle",
)
MODEL_STEPS = [f"move/{step}" for step in STEPS]
STRICT = [f"strict/{step}" for step in STEPS]


@pytest.fixture(scope="module")
def platform(history, instance, tmp_path_factory) -> Platform:
    """Its own home over a copy of the lake, with a second model whose gates nothing passes."""
    home = tmp_path_factory.mktemp("models")
    shutil.copytree(history.home / "lake", home / "lake")
    models = changed(MODELS, models__strict={**MODELS["models"]["move"], "gates": "impossible"})
    folder = write_config(tmp_path_factory.mktemp("config"), models=models, gates=GATES)
    with pytest.MonkeyPatch.context() as patch:
        made_here = Platform(home, configuration_of(folder, patch), instance)
    made_here.run(["feature_registry"])
    return made_here


@pytest.fixture(scope="module")
def trained(platform):
    return platform.run(MODEL_STEPS, SESSION)


def statuses(home: Path) -> list[str]:
    client = open_registry(home)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run.info.status for run in runs]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_model_that_passes_becomes_champion_and_bundle(platform, trained):
    assert sorted(made(trained)) == sorted(MODEL_STEPS)
    assert {tuple(p) for p in made(trained).values()} == {(SESSION,)}
    assert checks(trained)["move/training_set/only_the_past"].passed
    assert checks(trained)["move/training_set/as_of_decision"].passed
    assert checks(trained)["move/model_study/leak_canary"].passed
    assert checks(trained)["move/promotion_decision/gates"].passed
    client = open_registry(platform.home)
    assert version_with_alias(client, "move", CHAMPION) == version_with_alias(client, "move", CHALLENGER) == "1"
    tags = version_tags(client, "move", "1")
    assert (tags["session"], tags["gates"], tags["code_version"]) == (SESSION, "approved", CODE_VERSION)
    folder = platform.home / "bundles" / "move" / "1"
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    assert manifest.lineage["training_set_hash"] == tags["training_set_hash"]
    assert manifest.lineage["booster_sha256"] == tags["booster_sha256"]
    assert manifest.lineage["dagster_run_id"] == trained.run_id
    assert manifest.lineage["feature_service"] == "move_v1"
    assert checks(trained)["move/model_study/folds_audited"].passed
    assert set(LINEAGE_TAGS) <= set(tags)
    assert manifest.schema_hash == tags["feature_schema_hash"]


@pytest.mark.slow
def test_a_version_names_the_gold_partitions_it_was_made_of(platform, trained):
    stores = Stores(platform.home)
    found = record(stores, "move", "1")
    contents = gold(stores, found)
    keys = platform.lake.keys("gold/labels")
    here = keys.index(SESSION)
    for table in ("gold/features", "gold/labels"):
        stamps = platform.lake.stamps(table, keys[here - 85 : here])
        assert contents[table] == {key: stamp.content for key, stamp in stamps.items() if stamp}
        assert len(contents[table]) == 85
    (change,) = history(stores, "move")
    assert change.actor == f"dagster run {trained.run_id}"
    assert change.reason == f"passed every gate of profile easy, session {SESSION}"


@pytest.mark.slow
def test_every_mlflow_run_is_closed_and_finished(platform, trained):
    found = statuses(platform.home)
    assert len(found) >= 2  # one for the Dagster run, one for the model and session within it
    assert set(found) == {"FINISHED"}


@pytest.mark.slow
def test_the_evaluation_is_kept_as_plain_figures(platform, trained):
    figures = msgspec.json.decode(
        platform.lake.path("models/move/model_evaluation", SESSION).with_name("record.json").read_bytes()
    )
    assert len(figures["folds"]) == 2
    assert 0.3 < figures["auc"]["value"] < 0.8
    assert figures["trials"] == 1
    out = platform.lake.read("models/move/out_of_fold", [SESSION])[SESSION]
    assert len(out) == figures["n"]
    assert out["decision_time"].max() < pd.Timestamp("2021-03-15T21:00Z")


@pytest.mark.slow
def test_a_rejected_model_keeps_its_report_and_changes_nothing_else(platform, trained):
    bundles = files(platform.home / "bundles")
    result = platform.run(STRICT, SESSION)
    assert result.success
    assert sorted(made(result)) == sorted(STRICT[:5])
    verdict = checks(result)["strict/promotion_decision/gates"]
    assert (verdict.passed, verdict.metadata["missed"].value) == (False, ["oracle"])
    client = open_registry(platform.home)
    assert version_with_alias(client, "strict", CHAMPION) is None
    assert version_tags(client, "strict", "1")["gates_missed"] == "oracle"
    assert version_with_alias(client, "move", CHAMPION) == "1"
    assert files(platform.home / "bundles") == bundles
    assert set(statuses(platform.home)) == {"FINISHED"}


@pytest.mark.slow
def test_training_again_gives_the_same_model_as_a_new_version(platform, trained):
    before = files(platform.home / "bundles" / "move" / "1")
    platform.run(MODEL_STEPS, SESSION)
    first, second = (platform.home / "bundles" / "move" / v for v in ("1", "2"))
    assert files(first) == before
    for name in ("model.ubj", "model.onnx", "golden.json", "reference.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    client = open_registry(platform.home)
    assert version_with_alias(client, "move", CHAMPION) == "2"


@pytest.mark.slow
def test_an_upstream_that_is_missing_fails_the_run_and_closes_its_mlflow_run(platform, trained):
    import dagster as dg

    with pytest.raises(dg.Failure, match=f"training_set: no file for session {LATER}"):
        platform.run(["move/trained_model"], LATER)
    with pytest.raises(dg.Failure, match=f"trained_model: not made for session {LATER}. Materialize it first"):
        platform.run(["move/model_evaluation"], LATER)
    found = statuses(platform.home)
    assert "RUNNING" not in found
    assert found.count("FAILED") == 1  # evaluation needs no MLflow

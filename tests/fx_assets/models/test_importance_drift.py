"""feature_importance_drift on a trained champion, its bundle and the gold rows of its sessions."""

import json

import dagster as dg

from fx_monitoring.definitions import build_definitions
from tests.fx_assets.conftest import WALKED


def test_a_champion_leans_on_the_same_inputs_as_in_training(walked, instance):
    job = build_definitions(walked.configuration, walked.home).resolve_job_def("feature_importance_weekly")
    result = job.execute_in_process(instance=instance, partition_key=WALKED[1])
    assert result.success
    record = walked.home / f"lake/monitoring/feature_importance_drift/session={WALKED[1]}/record.json"
    found = json.loads(record.read_bytes())["move"]
    assert found["version"] == "2"
    assert found["spearman"] > 0.6
    assert sum(part["training"] for part in found["features"]) > 0.5
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert check.metadata["limits"].value == {"move": 0.6}
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert isinstance(metadata["move_plot"], dg.MarkdownMetadataValue)
    assert str(metadata["move_shares"].value).startswith("| feature | training | recent |")


def test_a_model_may_have_a_limit_of_its_own(walked, instance, monkeypatch):
    folder = walked.home / "config"
    folder.mkdir(exist_ok=True)
    own = folder / "monitoring.yaml"
    own.write_text("drift: {importance_correlation: -0.9, models: {move: {importance_correlation: 0.9999}}}\n")
    monkeypatch.setenv("FX_HOME", str(walked.home))
    try:
        job = build_definitions(walked.configuration, walked.home).resolve_job_def("feature_importance_weekly")
        result = job.execute_in_process(instance=instance, partition_key=WALKED[1])
    finally:
        own.unlink()
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["limits"].value == {"move": 0.9999}

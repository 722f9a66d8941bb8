"""The drift sensor, tick by tick, on status files as the monitoring writes them."""

import dagster as dg
import msgspec
import pytest

from fx_assets.automation.retraining import TRAINING_STEPS, job_name
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from tests.fx_assets.small import MODELS, Platform, changed, configuration_of, write_config


@pytest.fixture
def platform(tmp_path, monkeypatch, instance) -> Platform:
    models = changed(MODELS, models__other={**MODELS["models"]["move"], "deploy": False})
    return Platform(tmp_path, configuration_of(write_config(tmp_path / "config", models=models), monkeypatch), instance)


@pytest.fixture
def tick(platform):
    sensor = platform.definitions.resolve_sensor_def("retrain_on_drift")

    def evaluate():
        context = dg.build_sensor_context(
            instance=platform.instance, repository_def=platform.definitions.get_repository_def()
        )
        return sensor.evaluate_tick(context)

    return evaluate


def report(platform: Platform, model: str, level: str, report_id: str, session: str = "2021-03-04") -> None:
    status = {"format": 1, "model": model, "version": "3", "session": session, "computed_at": "2021-03-05T22:10:00Z"}
    status |= {"rows": 900, "level": level, "max_psi": 0.31 if level == "critical" else None, "report_id": report_id}
    atomic_write(Stores(platform.home).drift / f"{model}.json", msgspec.json.encode(status))


def test_without_a_report_it_says_so(tick):
    assert tick().skip_message == "no drift report yet"


@pytest.mark.parametrize("level", ["none", "minor", "moderate", "inconclusive"])
def test_anything_short_of_critical_is_skipped_in_words(platform, tick, level):
    report(platform, "move", level, "r1")
    report(platform, "other", "none", "r2")
    found = tick()
    assert found.run_requests == []
    assert found.skip_message == f"move 2021-03-04: {level}; other 2021-03-04: none"


def test_critical_drift_asks_once_for_that_model_and_session(platform, tick):
    report(platform, "move", "critical", "move-2021-03-04-1")
    report(platform, "other", "moderate", "r2")
    (request,) = tick().run_requests
    assert (request.run_key, request.job_name) == ("drift-move-2021-03-04-1", "train_move")
    assert (request.partition_key, request.tags["fx/max_psi"]) == ("2021-03-04", "0.3100")
    assert request.tags["fx/drift_report"] == "move-2021-03-04-1"
    # The same report again has the same key, which Dagster launches only once; a new report has a new one.
    assert [r.run_key for r in tick().run_requests] == [request.run_key]
    report(platform, "move", "critical", "move-2021-03-07-1", "2021-03-07")
    assert [r.run_key for r in tick().run_requests] == ["drift-move-2021-03-07-1"]


def test_the_job_is_the_training_of_one_session(platform):
    for model, steps in [("move", TRAINING_STEPS), ("other", TRAINING_STEPS[:-1])]:
        job = platform.definitions.resolve_job_def(job_name(model))
        assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
            f"{model}/{step}" for step in steps
        }
        assert "2021-03-04" in job.partitions_def.get_partition_keys()

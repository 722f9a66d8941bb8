"""The drift sensor, tick by tick, on status files as the monitoring writes them."""

from collections.abc import Iterator

import dagster as dg
import msgspec
import pytest

from fx_assets.automation.retraining import TRAINING_STEPS, job_name
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from tests.fx_assets.small import MODELS, Platform, changed, configuration_of, write_config


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Of each test: the sensor counts the runs of all."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


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


def report(platform: Platform, model: str, action: str, verdict: str | None = None, **limits: float) -> None:
    """A status file as the monitoring writes it, as far as the sensor reads it."""
    status = {"format": 2, "model": model, "version": "3", "session": "2021-03-04", "level": "critical"}
    status |= {"max_psi": 0.31, "report_id": f"{model}-3-2021-03-04-1", "action": action}
    status |= {"decision": {"verdict": verdict}, "limits": {"attempts": 2, "retry_minutes": 0, "per_day": 2} | limits}
    atomic_write(Stores(platform.home).drift / f"{model}.json", msgspec.json.encode(status))


def run(platform: Platform, request: dg.RunRequest, failed: bool = False) -> dg.DagsterRun:
    """The run of a request as the daemon makes it, under way or failed."""
    job = platform.definitions.resolve_job_def(str(request.job_name))
    made = platform.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    if failed:
        platform.instance.report_run_failed(made)
    return made


def test_without_a_report_it_says_so(tick):
    assert tick().skip_message == "no drift report yet"


@pytest.mark.parametrize("action", ["none", "log", "alert", "hold", "block"])
def test_anything_but_retrain_is_skipped_in_words(platform, tick, action):
    report(platform, "move", action)
    report(platform, "other", "log")
    found = tick()
    assert found.run_requests == []
    assert found.skip_message == f"move 2021-03-04: {action} (critical); other 2021-03-04: log (critical)"


def test_a_status_of_an_older_version_asks_for_nothing(platform, tick):
    status = {"format": 1, "session": "2021-03-04", "level": "critical", "max_psi": 0.3, "report_id": "r"}
    atomic_write(Stores(platform.home).drift / "move.json", msgspec.json.encode(status))
    assert tick().run_requests == []


def test_a_verdict_asks_once_for_that_model_and_session(platform, tick):
    report(platform, "move", "retrain", "move-3-2021-03-04")
    report(platform, "other", "alert")
    (request,) = tick().run_requests
    assert (request.run_key, request.job_name) == ("drift-move-3-2021-03-04-1", "train_move")
    assert (request.partition_key, request.tags["fx/max_psi"]) == ("2021-03-04", "0.3100")
    assert request.tags["fx/drift_report"] == "move-3-2021-03-04-1"
    # Not launched yet: the same key, which Dagster launches only once.
    assert [r.run_key for r in tick().run_requests] == [request.run_key]
    run(platform, request)
    assert "was asked for" in tick().skip_message


def test_a_failed_retraining_is_tried_again_a_few_times(platform, tick):
    keys = []
    for _ in range(2):
        report(platform, "move", "retrain", "move-4-2021-03-04")
        (request,) = tick().run_requests
        keys.append(request.run_key)
        run(platform, request, failed=True)
    assert keys == ["drift-move-4-2021-03-04-1", "drift-move-4-2021-03-04-2"]
    assert "2 runs for move-4-2021-03-04 failed; start train_move yourself" in tick().skip_message
    report(platform, "move", "retrain", "move-4-2021-03-04", attempts=3, retry_minutes=60)
    assert "the next one is due at" in tick().skip_message


def test_a_day_holds_only_so_many_of_all_models(platform, tick):
    report(platform, "move", "retrain", "move-3-2021-03-04", per_day=1)
    report(platform, "other", "retrain", "other-3-2021-03-04", per_day=1)
    (request,) = tick().run_requests
    assert request.job_name == "train_move", "the models of one tick count too"
    run(platform, request, failed=True)
    assert [again.job_name for again in tick().run_requests] == ["train_move"], "another attempt is no other retraining"
    report(platform, "move", "log")
    assert "1 retrainings in 24 hours are the most" in tick().skip_message


def test_a_training_that_runs_anyway_is_waited_for(platform, tick):
    report(platform, "move", "retrain", "move-3-2021-03-04")
    (request,) = tick().run_requests
    weekly = run(platform, request._replace(tags={"fx/reason": "weekly"}))
    assert "a run of train_move is under way" in tick().skip_message
    platform.instance.report_run_canceled(weekly)
    assert len(tick().run_requests) == 1


def test_the_job_is_the_training_of_one_session(platform):
    for model, steps in [("move", TRAINING_STEPS), ("other", TRAINING_STEPS[:-1])]:
        job = platform.definitions.resolve_job_def(job_name(model))
        assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
            f"{model}/{step}" for step in steps
        }
        assert "2021-03-04" in job.partitions_def.get_partition_keys()


@pytest.mark.parametrize(
    "content", [b'{"action": "\xff"}', b'{"action": "retr', b"[]", b"{}", b"", b'{"action": "retrain"}']
)
def test_a_damaged_status_is_told_and_another_models_retraining_goes_on(platform, tick, content):
    report(platform, "move", "retrain", "move-3-2021-03-04")
    path = Stores(platform.home).drift / "other.json"
    atomic_write(path, content)
    assert [request.job_name for request in tick().run_requests] == [job_name("move")]
    report(platform, "move", "log")
    told = tick().skip_message
    assert f"{path}: " in told
    assert told.endswith("It is rewritten by the next run of the job drift.")

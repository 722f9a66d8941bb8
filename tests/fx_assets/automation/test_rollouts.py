"""The rollout sensors, tick by tick, against a real service; and the deployment asset, which does not wait."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec
import pytest

from fx_assets.automation import rollouts
from fx_assets.models.assets.release import RETRIED, ROLLED_OUT, request_id
from fx_serving.client.environment import Finding, result_path, write_result
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError
from tests.fx_assets.small import MODELS, Platform, changed, checks, configuration_of, write_config
from tests.servers.serving import Service, make_bundle, publish_features, start_service, wait_until

SESSION = "2021-03-15"
DEPLOYMENT = dg.AssetKey(["move", "deployment"])


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("serving")
    publish_features(Stores(home))
    with start_service(home) as running:
        yield running


@pytest.fixture
def platform(service, tmp_path, monkeypatch, instance) -> Platform:
    """Definitions over the service's home; "other" is not deployed."""
    models = changed(MODELS, models__other={**MODELS["models"]["move"], "deploy": False})
    monkeypatch.setenv("FX_SERVING_URL", service.url)
    configuration = configuration_of(write_config(tmp_path / "config", models=models), monkeypatch)
    return Platform(service.home, configuration, instance)


def tick(platform: Platform, sensor: str, cursor: str | None = None) -> Any:
    context = dg.build_sensor_context(
        instance=platform.instance, repository_def=platform.definitions.get_repository_def(), cursor=cursor
    )
    return platform.definitions.resolve_sensor_def(sensor).evaluate_tick(context)


def bundle(service: Service, version: str, **lineage: str) -> None:
    """A bundle as the training run of the session leaves it, with the record that the deployment asset reads."""
    make_bundle(service.stores, version, model="move")
    path = service.stores.bundles / "move" / version / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(manifest | {"lineage": {**manifest["lineage"], **lineage}}))
    record = service.home / "lake" / "models" / "move" / "model_bundle" / f"session={SESSION}" / "record.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_bytes(msgspec.json.encode({"model": "move", "version": version, "path": str(path.parent)}))


def ended(service: Service, version: str) -> dict[str, Any]:
    """The finished rollout of a version."""

    def find() -> Any:
        found = [r for r in service.client.rollouts() if r["version"] == version]
        return found[0] if found and found[0]["finished_at"] else None

    return wait_until(find)


def test_the_asset_asks_and_the_sensor_reports_the_end_once(platform, service, monkeypatch):
    bundle(service, "1", session=SESSION)
    result = platform.run(["move/deployment"], SESSION)
    (made,) = result.get_asset_materialization_events()
    check = checks(result)[f"move/deployment/{ROLLED_OUT}"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    rollout = ended(service, "1")
    assert made.materialization.metadata["rollout_id"].value == rollout["id"]
    monkeypatch.setattr(rollouts, "SETTLED_S", 3600.0)
    assert tick(platform, "follow_rollouts").asset_events == []  # the asset's own record may still be on its way
    monkeypatch.setattr(rollouts, "SETTLED_S", 0.0)
    found = tick(platform, "follow_rollouts")
    observation, evaluation = found.asset_events
    assert (observation.asset_key, evaluation.asset_key) == (DEPLOYMENT, DEPLOYMENT)
    assert evaluation.check_name == ROLLED_OUT
    assert evaluation.passed
    assert evaluation.metadata["rollout_id"].value == rollout["id"]
    assert "| 100 % |" in observation.metadata["steps"].value
    again = tick(platform, "follow_rollouts", found.cursor)
    assert again.asset_events == []
    assert again.skip_message == "no rollout is running"
    for event in found.asset_events:
        platform.instance.report_runless_asset_event(event)
    key = dg.AssetCheckKey(DEPLOYMENT, ROLLED_OUT)
    (newest,) = platform.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert newest.evaluation is not None
    assert newest.evaluation.passed


def test_the_same_run_again_starts_no_second_rollout(platform, service):
    bundle(service, "2", session=SESSION)
    from fx_assets.models.rollout import ask_for_rollout

    first = ask_for_rollout(service.stores, "move", "2", {}, "run-2-move")
    assert ask_for_rollout(service.stores, "move", "2", {}, "run-2-move")["id"] == first["id"]
    ended(service, "2") if not service.client.traffic()["models"] else service.client.abort_rollout(first["id"])
    assert len([r for r in service.client.rollouts() if r["version"] == "2"]) == 1


def test_a_bad_end_is_a_failed_check_with_the_reason(platform, service, monkeypatch):
    make_bundle(service.stores, "bad", model="move")
    (service.stores.bundles / "move" / "bad" / "model.onnx").write_bytes(b"not a model")
    service.client.start_rollout("move", "bad")
    reason = ended(service, "bad")["reason"]
    monkeypatch.setattr(rollouts, "SETTLED_S", 0.0)
    events = tick(platform, "follow_rollouts").asset_events
    (evaluation,) = [
        e for e in events if isinstance(e, dg.AssetCheckEvaluation) and e.metadata["version"].value == "bad"
    ]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert reason in (evaluation.description or "")
    assert evaluation.metadata["state"].value == "failed"


def test_a_newer_bundle_asks_for_its_rollout_once(platform, service):
    assert platform.definitions.resolve_sensor_def("roll_out_promoted").default_status.value == "RUNNING"
    bundle(service, "30", session=SESSION)
    (request,) = tick(platform, "roll_out_promoted").run_requests
    assert (request.run_key, request.job_name) == ("rollout-move-30-1", "roll_out_move")
    assert (request.partition_key, request.tags[rollouts.TAG]) == (SESSION, "move:30")
    # Each failed run allows another attempt, up to a limit.
    tags = {rollouts.TAG: "move:30"}
    job = platform.definitions.resolve_job_def("roll_out_move")
    for attempt in range(1, rollouts.ATTEMPTS + 1):
        run = platform.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.FAILURE)
        assert run.is_failure
        found = tick(platform, "roll_out_promoted")
        if attempt < rollouts.ATTEMPTS:
            assert found.run_requests[0].run_key == f"rollout-move-30-{attempt + 1}"
    assert "3 runs for version 30 failed" in found.skip_message
    started = service.client.start_rollout("move", "30")
    assert tick(platform, "roll_out_promoted").skip_message == "move: version 30 had its rollout"
    service.client.abort_rollout(started["id"])


def test_a_bundle_of_no_session_is_left_alone(platform, service):
    bundle(service, "40")
    assert "not exported by the training run" in tick(platform, "roll_out_promoted").skip_message


def test_without_a_service_both_say_so(platform, monkeypatch):
    monkeypatch.setenv("FX_SERVING_URL", "http://127.0.0.1:1")
    assert "reported later" in tick(platform, "follow_rollouts").skip_message
    assert "does not answer" in tick(platform, "roll_out_promoted").skip_message
    with pytest.raises(dg.Failure, match="promoted but not deployed"):
        platform.run(["move/deployment"], SESSION)


def test_nothing_is_rolled_out_while_the_environment_check_fails(platform, service):
    bundle(service, "50", session=SESSION)
    write_result(service.stores, [Finding(False, "1 GiB free", "free some")])
    try:
        assert "1 GiB free: free some" in tick(platform, "roll_out_promoted").skip_message
        with pytest.raises(dg.Failure, match="1 GiB free: free some"):
            platform.run(["move/deployment"], SESSION)
        assert not [r for r in service.client.rollouts() if r["version"] == "50"]
    finally:
        result_path(service.stores).unlink()
    assert tick(platform, "roll_out_promoted").run_requests


def test_the_steps_are_told_as_a_table():
    at = datetime(2026, 1, 5, tzinfo=UTC)
    step = {"weight": 5.0, "started_at": at.isoformat(), "ended_at": None, "requests": 7, "errors": 0}
    found = {"id": "r", "model": "move", "version": "3", "state": "superseded", "steps": [step]}
    observation, evaluation = rollouts.events(found | {"finished_at": (at + timedelta(hours=1)).isoformat()})
    assert isinstance(observation, dg.AssetObservation)
    assert "| 5 % |" in str(observation.metadata["steps"].value)
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert not evaluation.passed


def test_a_version_that_is_taken_back_after_it_succeeded_is_reported_again(platform, service, monkeypatch):
    monkeypatch.setattr(rollouts, "SETTLED_S", 0.0)
    for version in ("50", "51"):
        make_bundle(service.stores, version, model="move")
        id = service.client.start_rollout("move", version, {"steps": [100], "window_s": 0})["id"]
        wait_until(lambda id=id: service.client.rollout(id)["state"] in ("canary", "baking", "succeeded"))
        service.client.promote_rollout(id)
        assert ended(service, version)["state"] == "succeeded"
    told = tick(platform, "follow_rollouts")
    service.client.rollback_rollout(id, "worse")
    again = tick(platform, "follow_rollouts", told.cursor)
    observation, evaluation = again.asset_events
    assert observation.metadata["state"].value == "rolled_back"
    assert (evaluation.passed, evaluation.metadata["rollout_id"].value) == (False, id)
    assert "worse" in evaluation.description
    assert tick(platform, "follow_rollouts", again.cursor).asset_events == []


def test_a_run_that_is_started_again_finds_what_the_killed_one_asked_for(platform, service):
    bundle(service, "60", session=SESSION)
    first = service.client.start_rollout("move", "60", {"window_s": 600})["id"]  # and the run dies
    result = platform.run(["move/deployment"], SESSION)
    (made,) = result.get_asset_materialization_events()
    assert made.materialization.metadata["rollout_id"].value == first
    check = checks(result)[f"move/deployment/{ROLLED_OUT}"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    if service.client.rollout(first)["finished_at"] is None:
        wait_until(lambda: service.client.rollout(first)["state"] in ("canary", "baking"))
        service.client.promote_rollout(first)
    assert ended(service, "60")["state"] == "succeeded"
    result = platform.run(["move/deployment"], SESSION)
    assert checks(result)[f"move/deployment/{ROLLED_OUT}"].passed
    assert [r["id"] for r in service.client.rollouts() if r["version"] == "60"] == [first]


def test_an_automatic_retry_asks_as_the_run_it_repeats():
    def run(root: str | None = None, **tags: str) -> dg.DagsterRun:
        return dg.DagsterRun(job_name="j", root_run_id=root, parent_run_id=root, tags=tags)

    first = run()
    retry = run(first.run_id, **{RETRIED: "1"})
    assert request_id(retry, "move", "4") == request_id(first, "move", "4")
    others = [(r, m, v) for r in (first, run(first.run_id), run()) for m in ("move", "other") for v in "45"]
    assert len({request_id(*other) for other in others}) == 12
    assert len(request_id(first, "m" * 41, "4")) <= 64


def test_a_dry_run_or_an_experiment_is_not_the_rollout_of_a_version(platform, service):
    bundle(service, "70", session=SESSION)
    for more in ({"dry_run": True}, {"kind": "ab"}):
        started = service.client.start_rollout("move", "70", **more)
        with contextlib.suppress(ServiceError):  # without a deployed version it has failed already
            service.client.abort_rollout(started["id"])
        (request,) = tick(platform, "roll_out_promoted").run_requests
        assert request.run_key == "rollout-move-70-1"

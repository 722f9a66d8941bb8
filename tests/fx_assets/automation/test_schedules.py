"""The clock's requests: weekly retraining for the newest session that can be trained for, and batch inference."""

from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from fx_assets.automation.retraining import TRAINING_STEPS, job_name
from fx_assets.automation.schedules import due_session
from fx_assets.lake import Lake
from tests.fx_assets.small import MODELS, Platform, changed, configuration_of, write_config

SATURDAY = datetime(2021, 3, 6, 15, tzinfo=UTC)  # 10:00 in New York
TICK = datetime(2026, 11, 21, 15, tzinfo=UTC)  # ticks come by the wall clock, whatever the data clock says
KEYS = ["2021-03-01", "2021-03-02", "2021-03-03", "2021-03-04", "2021-03-07", "2021-03-08"]


@pytest.fixture
def platform(tmp_path, monkeypatch, instance) -> Platform:
    models = changed(MODELS, models__other={**MODELS["models"]["move"], "deploy": False})
    monkeypatch.setenv("FX_CLOCK", f"{SATURDAY.isoformat()}@{datetime.now(UTC).isoformat()}")
    return Platform(tmp_path, configuration_of(write_config(tmp_path / "config", models=models), monkeypatch), instance)


def make(lake: Lake, *keys: str) -> None:
    for table in ("gold/features", "gold/labels"):
        lake.write(table, {key: pd.DataFrame({"instrument": ["GBP_USD"]}) for key in keys})


def tick(platform: Platform, name: str, at: datetime = TICK) -> tuple[list[dg.RunRequest], str]:
    """What one tick requests, and why it skips."""
    schedule = platform.definitions.resolve_schedule_def(name)
    context = dg.build_schedule_context(
        instance=platform.instance,
        scheduled_execution_time=at,
        repository_def=platform.definitions.get_repository_def(),
    )
    found = schedule.evaluate_tick(context)
    return list(found.run_requests or ()), found.skip_message or ""


@pytest.mark.parametrize(
    ("made", "now", "expected"),
    [
        ([], SATURDAY, None),
        (KEYS[:4], SATURDAY, "2021-03-07"),  # at the weekend the coming session counts
        (KEYS[:4], datetime(2021, 3, 4, 23, tzinfo=UTC), "2021-03-04"),  # Sunday's has not begun
        (KEYS[:2], SATURDAY, "2021-03-03"),
        (KEYS, datetime(2021, 3, 30, tzinfo=UTC), "2021-03-08"),
        (KEYS[-1:], SATURDAY, None),  # nothing lies before the first
    ],
)
def test_the_session_is_the_newest_with_all_before_it_made(tmp_path, made, now, expected):
    lake = Lake(tmp_path)
    make(lake, *made)
    assert due_session(lake, KEYS, now) == expected


def test_a_session_whose_labels_are_missing_is_not_taken(tmp_path):
    lake = Lake(tmp_path)
    make(lake, *KEYS[:3])
    lake.path("gold/labels", KEYS[2]).unlink()
    assert due_session(lake, KEYS, SATURDAY) == KEYS[2]


def test_every_model_is_asked_for_once_a_week_by_its_own_job(platform):
    make(platform.lake, *KEYS[:4])
    for model in ("move", "other"):
        schedule = platform.definitions.resolve_schedule_def(f"weekly_train_{model}")
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 10 * * 6", "America/New_York")
        ((request,), _) = tick(platform, schedule.name)
        assert request.partition_key == "2021-03-07"
        assert request.tags["fx/reason"] == "weekly"
        assert request.run_key == f"weekly-{model}-2021-03-07-{TICK.isoformat()}"
        assert schedule.job_name == job_name(model)


def test_what_was_trained_already_is_not_trained_again(platform):
    make(platform.lake, *KEYS[:4])
    platform.lake.store.write("models/move/trained_model/session=2021-03-07/record.json", b"{}")
    assert tick(platform, "weekly_train_move")[1].endswith(
        "2021-03-07 is the newest that can be trained for, and it was."
    )
    assert len(tick(platform, "weekly_train_other")[0]) == 1


def test_what_is_being_trained_is_not_asked_for_again(platform):
    make(platform.lake, *KEYS[:4])
    job = platform.definitions.resolve_job_def("train_other")
    run = platform.instance.create_run_for_job(
        job, tags={"dagster/partition": "2021-03-07"}, status=dg.DagsterRunStatus.STARTED
    )
    assert (
        tick(platform, "weekly_train_other")[1] == f"run {run.run_id[:8]} of train_other for 2021-03-07 waits or works"
    )
    platform.instance.report_run_failed(run)
    assert len(tick(platform, "weekly_train_other")[0]) == 1


def test_a_sample_whose_clock_stands_still_is_not_trained_on_every_saturday(platform, monkeypatch):
    make(platform.lake, *KEYS[:4])
    monkeypatch.setenv("FX_CLOCK", SATURDAY.isoformat())
    requests, why = tick(platform, "weekly_train_move")
    assert requests == []
    assert "stands still at 2021-03-06 15:00 UTC" in why


def test_without_tables_it_says_what_to_run(platform):
    assert "fx backfill" in tick(platform, "weekly_train_move")[1]


def test_schedule_sensor_and_person_ask_for_the_same_assets(platform):
    """The drift sensor requests the same job (test_retraining.py); a person materializes the same keys."""
    job = platform.definitions.resolve_job_def(job_name("move"))
    wanted = {dg.AssetKey(["move", step]) for step in TRAINING_STEPS}
    assert set(job.asset_layer.executable_asset_keys) == wanted
    sensor = platform.definitions.resolve_sensor_def("retrain_on_drift")
    assert job_name("move") in {target.job_name for target in sensor.targets}
    assert platform.definitions.resolve_schedule_def("weekly_train_move").job_name == job_name("move")
    assert wanted <= set(platform.job.asset_layer.executable_asset_keys)


def test_batch_inference_asks_every_half_hour_while_a_market_is_open(platform, monkeypatch):
    schedule = platform.definitions.resolve_schedule_def("half_hourly_batch_inference")
    assert schedule.cron_schedule == "*/30 * * * *"
    assert "every market is closed" in tick(platform, schedule.name)[1]
    monkeypatch.setenv("FX_CLOCK", "2021-03-08T15:30:00Z")
    assert "stands still" in tick(platform, schedule.name)[1]
    monkeypatch.setenv("FX_CLOCK", f"2021-03-08T15:30:00Z@{datetime.now(UTC).isoformat()}")
    ((request,), _) = tick(platform, schedule.name)
    assert TICK.isoformat() in str(request.run_key)
    job = platform.definitions.resolve_job_def("batch_inference")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {"batch_predictions"}


def test_champions_are_looked_at_daily_whether_or_not_anything_is_promoted(platform, monkeypatch):
    schedule = platform.definitions.resolve_schedule_def("daily_champions")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 6 * * *", "America/New_York")
    ((request,), _) = tick(platform, schedule.name)
    assert request.run_key == f"daily_champions-{TICK.isoformat()}"
    job = platform.definitions.resolve_job_def(schedule.job_name)
    result = job.execute_in_process(instance=platform.instance)
    found = {f"{'/'.join(c.asset_key.path)}/{c.check_name}" for c in result.get_asset_check_evaluations()}
    models = ("move", "other")
    assert found == {f"{model}/promoted_model/{name}" for model in models for name in ("champion_alias", "not_expired")}
    assert all(c.passed for c in result.get_asset_check_evaluations())  # no model has a champion yet
    assert result.get_asset_materialization_events() == []
    monkeypatch.setenv("FX_CLOCK", SATURDAY.isoformat())
    assert "stands still" in tick(platform, schedule.name)[1]


def test_a_platform_that_deploys_nothing_has_no_batch_inference(tmp_path, monkeypatch, instance):
    models = changed(MODELS, models__move__deploy=False)
    found = Platform(
        tmp_path, configuration_of(write_config(tmp_path / "config", models=models), monkeypatch), instance
    )
    assert dg.AssetKey("batch_predictions") not in found.job.asset_layer.executable_asset_keys
    assert "half_hourly_batch_inference" not in {s.name for s in found.definitions.schedules or ()}

"""The rows of automation.yaml as both code locations have them: what exists, what is on, and when it ticks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from fx_assets.automation.switches import next_tick
from fx_assets.automation.table import PARTITION, ROW, SESSION, sensor_options
from fx_assets.configuration import Configuration
from fx_assets.runs import pools
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

NEW_YORK = ZoneInfo("America/New_York")
WEDNESDAY = datetime(2021, 3, 10, 15, 30, tzinfo=UTC)
SATURDAY = datetime(2021, 3, 13, 15, 30, tzinfo=UTC)
TICK = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
# What only a home has that names an archive, or reference files.
OPTIONAL = {"archive_months", "reference_files"}


def built(home, configuration: Configuration) -> list[dg.Definitions]:
    """Both code locations."""
    import fx_assets.definitions as assets
    import fx_monitoring.definitions as monitoring

    return [module.build_definitions(configuration, home) for module in (assets, monitoring)]


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[tuple[Configuration, list[dg.Definitions]]]:
    """A home that follows the market, with an archive and a file of rates."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "rates.csv").write_text("available_at,currency,rate\n2021-01-01T00:00:00Z,USD,0.25\n")
    data = {"archive": {"url": str(folder / "archive")}, "reference": {"rates": str(folder / "rates.csv")}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FX_CLOCK", f"{WEDNESDAY.isoformat()}@{datetime.now(UTC).isoformat()}")
        instruments = changed(INSTRUMENTS, sessions={"start": "2021-03-01"})
        configuration = configuration_of(write_config(folder / "config", instruments, data=data), patch)
        yield configuration, built(folder, configuration)


def schedules(found: list[dg.Definitions]) -> dict[str, dg.ScheduleDefinition]:
    return {s.name: s for d in found for s in d.get_repository_def().schedule_defs}


def sensors(found: list[dg.Definitions]) -> dict[str, dg.SensorDefinition]:
    return {s.name: s for d in found for s in d.get_repository_def().sensor_defs}


def test_every_row_is_there_once_and_nothing_else_is(live):
    configuration, found = live
    table = configuration.automation
    expected = {"weekly_train_move" if n == "weekly_train" else n for n in table.rows}
    expected = {"weekly_strategy_move" if n == "weekly_strategy" else n for n in expected}
    expected -= {n for n, row in table.rows.items() if row.part_of or row.profile not in (None, "weekly")}
    names = [
        s.name for d in found for s in (*d.get_repository_def().schedule_defs, *d.get_repository_def().sensor_defs)
    ]
    assert len(names) == len(set(names))
    automatic = {n for n in names if n.endswith("automation_condition_sensor")}
    assert set(names) - automatic == expected


def test_what_is_on_is_the_tables_word(live):
    configuration, found = live
    table = configuration.automation
    for name, made in {**schedules(found), **sensors(found)}.items():
        row = name.removesuffix("_move") if name.endswith("_move") else name
        if row in table.rows:
            assert (made.default_status.value == "RUNNING") == table.on(row), name
            assert made.tags["owner"] == table.row(row).owner, name


def test_a_row_that_is_off_is_stopped(tmp_path, monkeypatch):
    folder = write_config(tmp_path / "config")
    (folder / "automation.yaml").write_text(
        "rows: {daily_champions: {enabled: false}, dead_runs: {enabled: false, every_seconds: 7}}\n"
    )
    configuration = configuration_of(folder, monkeypatch)
    found = built(tmp_path, configuration)[:1]
    assert schedules(found)["daily_champions"].default_status is dg.DefaultScheduleStatus.STOPPED
    dead = sensors(found)["dead_runs"]
    assert (dead.default_status, dead.minimum_interval_seconds) == (dg.DefaultSensorStatus.STOPPED, 7)
    assert sensor_options(configuration, "heartbeat")["default_status"] is dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize(
    ("cadence", "cron", "zone"),
    [("daily", "0 0 * * *", "Asia/Singapore"), ("four_hourly", "0 */4 * * *", "Asia/Singapore")],
)
def test_the_training_cadence_chooses_the_row(tmp_path, monkeypatch, cadence, cron, zone):
    folder = write_config(tmp_path / "config")
    (folder / "automation.yaml").write_text(f"training_cadence: {cadence}\n")
    found = schedules(built(tmp_path, configuration_of(folder, monkeypatch))[:1])
    trains = [s for s in found.values() if s.job_name.startswith("train_")]
    assert [(s.name, s.cron_schedule, s.execution_timezone) for s in trains] == [(f"{cadence}_train_move", cron, zone)]


def test_a_row_of_ones_own_asks_for_a_job_that_exists(tmp_path, monkeypatch):
    folder = write_config(tmp_path / "config")
    (folder / "automation.yaml").write_text(
        'rows: {mine: {does: "Mine.", job: champions, cron: "0 7 * * *", clock: wall, owner: desk}}\n'
    )
    found = schedules(built(tmp_path, configuration_of(folder, monkeypatch))[:1])
    assert found["mine"].job_name == "champions"
    assert found["mine"].tags == {"owner": "desk"}


def test_pools_exist_and_are_those_that_the_jobs_steps_take(live):
    configuration, found = live
    for name, row in configuration.automation.rows.items():
        if row.pool is None:
            continue
        assert row.pool in pools.LIMITS, name
        jobs = [j for d in found for j in d.get_repository_def().get_all_jobs() if row.serves(j.name)]
        assert jobs, name
        taken = {pool for job in jobs for node in job.graph.node_dict.values() for pool in node.definition.pools}
        assert row.pool in taken, name


def tick(
    live, name: str, clock: str | None, monkeypatch, instance: dg.DagsterInstance
) -> tuple[list[dg.RunRequest], str]:
    """What one tick asks for, and why nothing, at a moment of the data clock; None: the wall clock."""
    monkeypatch.delenv("FX_CLOCK", raising=False)
    if clock:
        monkeypatch.setenv("FX_CLOCK", clock)
    _, found = live
    definitions = next(d for d in found if name in schedules([d]))
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=TICK, repository_def=definitions.get_repository_def()
    )
    evaluated = schedules(found)[name].evaluate_tick(context)
    return list(evaluated.run_requests or ()), evaluated.skip_message or ""


def moving(moment: datetime) -> str:
    return f"{moment.isoformat()}@{datetime.now(UTC).isoformat()}"


@pytest.fixture
def fresh(tmp_path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_a_closed_market_and_a_standing_clock_start_nothing(live, monkeypatch, fresh):
    configuration, found = live
    for name in schedules(found):
        row = configuration.automation.rows.get(name)
        if row is None or row.clock == "wall":
            continue
        requests, why = tick(live, name, WEDNESDAY.isoformat(), monkeypatch, fresh)
        assert not requests, name
        assert "stands still" in why, name
        if row.market_hours:
            requests, why = tick(live, name, moving(SATURDAY), monkeypatch, fresh)
            assert not requests, name
            assert why.endswith("the next opens at 2021-03-14 21:00 UTC (Sun 17:00 New York)"), name


@pytest.mark.parametrize(("name", "session"), [("monitor", "2021-03-09"), ("signal_validation_nightly", "2021-03-08")])
def test_a_row_asks_for_its_session(live, monkeypatch, fresh, name, session):
    ((request,), _) = tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)
    assert request.partition_key == session
    assert (request.tags[ROW], request.tags[SESSION]) == (name, session)
    assert request.run_key == f"{name}-{session}-{TICK.isoformat()}"


def test_an_ended_session_is_asked_for_until_it_is_done(live, monkeypatch, fresh):
    _, found = live
    name = "signal_validation_nightly"
    job = next(d for d in found if name in schedules([d])).resolve_job_def(name)
    tags = {ROW: name, SESSION: "2021-03-08", PARTITION: "2021-03-08"}
    run = fresh.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)[1] == "session 2021-03-08 is being done"
    fresh.report_run_failed(run)
    assert tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)[0]
    run = fresh.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    assert "was done by run" in tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)[1]
    assert tick(live, name, moving(WEDNESDAY + timedelta(days=1)), monkeypatch, fresh)[0]


def test_a_session_that_is_no_partition_is_not_asked_for(live, monkeypatch, fresh):
    requests, why = tick(live, "monitor", moving(datetime(2021, 2, 24, 15, tzinfo=UTC)), monkeypatch, fresh)
    assert not requests
    assert why == "2021-02-23 is not a session of instruments.yaml"


def test_a_rows_run_config_goes_with_its_runs(live, monkeypatch, fresh):
    ((request,), _) = tick(live, "paper_trade_core", moving(WEDNESDAY), monkeypatch, fresh)
    assert request.run_config == {"ops": {"paper_trader": {"config": {"mode": "core"}}}}
    ((full,), _) = tick(live, "paper_trade", moving(WEDNESDAY), monkeypatch, fresh)
    assert not full.run_config


@pytest.mark.parametrize(
    ("name", "before", "expected"),
    [
        # 18:30 New York is 23:30 UTC in winter and 22:30 in summer.
        ("nightly_close", datetime(2026, 3, 6, 20, tzinfo=UTC), datetime(2026, 3, 6, 23, 30, tzinfo=UTC)),
        ("nightly_close", datetime(2026, 3, 9, 20, tzinfo=UTC), datetime(2026, 3, 9, 22, 30, tzinfo=UTC)),
        ("environment_check", datetime(2026, 3, 8, 19, 45, tzinfo=UTC), datetime(2026, 3, 8, 20, 0, tzinfo=UTC)),
        ("environment_check", datetime(2026, 11, 1, 20, 45, tzinfo=UTC), datetime(2026, 11, 1, 21, 0, tzinfo=UTC)),
        ("daily_train", datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 3, 8, 16, 0, tzinfo=UTC)),
        ("weekly_train", datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 10, 31, 14, 0, tzinfo=UTC)),
        ("weekly_train", datetime(2026, 11, 7, 12, tzinfo=UTC), datetime(2026, 11, 7, 15, 0, tzinfo=UTC)),
    ],
)
def test_ticks_follow_the_rows_time_zone_over_changes_of_the_clock(live, name, before, expected):
    found = next_tick(live[0].automation.row(name), before)
    assert found is not None
    assert found.astimezone(UTC) == expected


def test_a_tick_in_an_hour_that_is_left_out_or_comes_twice_comes_once(live):
    row = (
        live[0].automation.row("clean_up").model_copy(update={"cron": ("30 2 * * *",), "timezone": "America/New_York"})
    )
    for start in (datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 10, 31, 12, tzinfo=UTC)):
        ticks, at = [], start
        while (found := next_tick(row, at)) is not None and found < start + timedelta(days=3):
            ticks.append(found.astimezone(NEW_YORK).date())
            at = found
        assert len(ticks) == len(set(ticks)) == 3


def test_missed_ticks_are_not_all_made_up(live):
    """Dagster catches up for schedules that are bound to partitions, and evaluates the newest tick of others."""
    from dagster._core.remote_representation.external_data import ScheduleSnap

    _, found = live
    for definitions in found:
        repository = definitions.get_repository_def()
        for schedule in repository.schedule_defs:
            assert ScheduleSnap.from_def(schedule, repository).partition_set_name is None, schedule.name


@pytest.mark.parametrize(
    ("name", "partition"), [("monitor", "2021-03-09"), ("drift", "2021-03-09"), ("clean_up", None)]
)
def test_a_row_whose_run_still_works_asks_for_no_other(live, monkeypatch, fresh, name, partition):
    """On a machine slower than the row's cadence, its runs would queue up in front of all others."""
    _, found = live
    job = next(d for d in found if name in schedules([d])).resolve_job_def(name)
    tags = {ROW: name, PARTITION: partition} if partition else {ROW: name}
    run = fresh.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    requests, why = tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)
    assert not requests
    assert why.startswith(f"run {run.run_id[:8]} of {name}")
    assert why.endswith("waits or works")
    fresh.report_run_failed(run)
    assert tick(live, name, moving(WEDNESDAY), monkeypatch, fresh)[0]

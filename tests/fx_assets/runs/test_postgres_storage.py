"""Dagster's storage in a PostgreSQL that is restarted: a run of many partitions ends well, and no event is missing."""

import signal
import threading
import time
from collections import Counter

import dagster as dg
import psycopg2
import pytest
import sqlalchemy
from dagster._core.errors import DagsterRunAlreadyExists
from dagster_postgres.run_storage import PostgresRunStorage
from sqlalchemy.exc import DataError, OperationalError

from fx_assets.runs import postgres as patient
from fx_assets.runs.postgres import is_away
from tests.servers.postgres import PostgresServer, restartable_postgres

pytestmark = pytest.mark.server
DAYS = dg.DailyPartitionsDefinition("2021-01-01", end_date="2021-02-20")
MANY = {"dagster/asset_partition_range_start": "2021-01-01", "dagster/asset_partition_range_end": "2021-02-19"}
STEPS = 4


def tables() -> list[dg.AssetsDefinition]:
    def named(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"table_{number}", partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
        def table(context: dg.AssetExecutionContext) -> None:
            for key in context.partition_keys:
                context.add_asset_metadata({"rows": 1}, partition_key=key)

        return table

    return [named(number) for number in range(STEPS)]


@pytest.fixture(scope="module")
def postgres(program):
    with restartable_postgres(program) as server:
        yield server


@pytest.fixture
def instance(postgres, tmp_path):
    storage = {"module": "fx_assets.runs.postgres", "class": "PatientPostgresStorage"}
    custom = {"custom": {**storage, "config": {"postgres_url": postgres.url}}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"storage": custom}) as made:
        yield made


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
def test_a_run_outlives_restarts_of_its_database(postgres: PostgresServer, instance, how):
    job = dg.Definitions(assets=tables(), executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()
    silent = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    results: list = []

    def execute() -> None:
        results.append(job.execute_in_process(instance=instance, tags=MANY, run_config=silent, raise_on_error=False))

    run = threading.Thread(target=execute)
    run.start()
    restarts = 0
    while run.is_alive() and restarts < 5:
        time.sleep(0.3)  # somewhere in the middle of the run
        postgres.stop(how)
        postgres.start()
        restarts += 1
    run.join()
    (result,) = results
    assert result.success
    assert restarts
    found = Counter(
        (entry.dagster_event.step_key, entry.dagster_event.partition)
        for entry in instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    )
    assert set(found) == {(f"table_{n}", day) for n in range(STEPS) for day in DAYS.get_partition_keys()}
    for number in range(STEPS):
        assert len(instance.get_materialized_partitions(dg.AssetKey(f"table_{number}"))) == 50
    assert instance.get_run_by_id(result.run_id).status == dg.DagsterRunStatus.SUCCESS


def test_connections_stay_open(instance, postgres):
    """A password is checked once for each storage, and not for each event."""
    engine = sqlalchemy.create_engine(postgres.url)
    asked = "select coalesce(sum(sessions), 0) from pg_stat_database where datname = 'postgres'"

    def connections() -> int:
        with engine.connect() as one:
            one.execute(sqlalchemy.text("select pg_stat_force_next_flush()"))
            return one.execute(sqlalchemy.text(asked)).scalar_one()

    instance.all_asset_keys()
    before = connections()
    for number in range(50):
        instance.report_runless_asset_event(dg.AssetMaterialization("reported", partition=str(number)))
    assert len(instance.get_materialized_partitions(dg.AssetKey("reported"))) == 50
    assert connections() - before < 10
    engine.dispose()


def test_what_the_server_refuses_is_not_asked_again(instance):
    assert is_away(OperationalError("select", {}, ConnectionError("refused")))
    refused = type("Refused", (Exception,), {"pgcode": "57014"})()  # a statement that took too long
    assert not is_away(OperationalError("select", {}, refused))
    assert is_away(psycopg2.OperationalError("server closed the connection unexpectedly"))
    assert not is_away(psycopg2.ProgrammingError("no such table"))
    assert not is_away(DataError("select", {}, ValueError("no number")))


def test_a_run_that_was_half_written_is_written_anew(instance, postgres):
    """The server commits the run, and dies before it commits the run's tags."""
    storage = patient._Runs(postgres.url)
    attempts = []

    def add_run(storage: PostgresRunStorage, run: dg.DagsterRun) -> dg.DagsterRun:
        attempts.append(run.run_id)
        added = PostgresRunStorage.add_run(storage, run)
        if len(attempts) == 1:
            with storage.connect() as connection:
                connection.execute(sqlalchemy.text("delete from run_tags"))
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return added

    run = dg.DagsterRun("job", tags={"fx/request": "1"})
    patient._patient(add_run)(storage, run)
    assert len(attempts) == 3  # interrupted, told that it is there already, written anew
    assert storage.get_run_tags(["fx/request"]) == [("fx/request", {"1"})]
    with pytest.raises(DagsterRunAlreadyExists):
        storage.add_run(run)

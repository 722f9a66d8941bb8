"""Old live runs are deleted with their events; settling ones, failed ones and everybody else's stay."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from fx_assets.live.retention import build_sensor, forget_runs
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2021-03-09"]))
def table(context: dg.AssetExecutionContext, fail: dg.ResourceParam[list]) -> None:
    if fail:
        raise ValueError("as asked")


@pytest.fixture
def instance(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


def run(instance: dg.DagsterInstance, reason: str | None, fail: bool = False) -> str:
    tags = {} if reason is None else {"fx/live": "true", "fx/live_reason": reason}
    done = dg.materialize(
        [table],
        instance=instance,
        partition_key="2021-03-09",
        tags=tags,
        resources={"fail": ["yes"] if fail else []},
        raise_on_error=False,
    )
    return done.run_id


def test_only_old_polls_and_streamed_bars_that_succeeded_are_forgotten(instance):
    settle, other, failed = run(instance, "settle"), run(instance, None), run(instance, "poll", fail=True)
    old = [run(instance, reason) for reason in ("poll", "stream", "poll")]
    time.sleep(0.05)
    moment = datetime.now(UTC)
    new = run(instance, "stream")
    assert forget_runs(instance, moment - timedelta(hours=1)) == 0
    assert forget_runs(instance, moment, limit=2) == 2
    assert forget_runs(instance, moment) == 1
    assert {r.run_id for r in instance.get_runs()} == {settle, other, failed, new}
    assert not any(instance.all_logs(run_id) for run_id in old)
    # What Dagster knows of the partition is that of the runs that stayed.
    assert instance.get_materialized_partitions(table.key) == {"2021-03-09"}
    newest = instance.get_latest_materialization_event(table.key)
    assert newest is not None
    assert newest.run_id == new


def test_a_partition_stays_known_when_only_the_settling_run_is_left(instance):
    run(instance, "settle")
    run(instance, "poll")
    time.sleep(0.05)
    assert forget_runs(instance, datetime.now(UTC)) == 1
    assert instance.get_materialized_partitions(table.key) == {"2021-03-09"}


def test_the_sensor_says_what_it_did(instance, tmp_path, monkeypatch):
    folder = write_config(tmp_path / "config", changed(INSTRUMENTS, sessions={"start": "2021-03-01"}))
    sensor = build_sensor(configuration_of(folder, monkeypatch))
    context = dg.build_sensor_context(instance=instance)
    assert sensor.evaluate_tick(context).skip_message == "no run is old enough"

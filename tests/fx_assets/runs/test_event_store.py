"""The event store kept open: the same events, seen at once by others, and nothing kept afterwards."""

import contextlib
import threading
from pathlib import Path

import dagster as dg
import pytest

from fx_assets.runs.event_store import kept_open
from fx_assets.stack.environment import dagster_home

DAYS = dg.DailyPartitionsDefinition("2021-01-01", end_date="2021-01-08")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def table(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": 1}, partition_key=key)


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(dagster_home(tmp_path))


def run(instance: dg.DagsterInstance) -> list[tuple]:
    """Run the asset over a range: its events as they are stored."""
    job = dg.Definitions(assets=[table], executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": "2021-01-02", "dagster/asset_partition_range_end": "2021-01-06"}
    silent = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(instance=instance, tags=tags, run_config=silent)
    assert result.success
    events = [record.dagster_event for record in instance.all_logs(result.run_id)]
    return [(event.event_type_value, event.step_key, event.partition) for event in events if event is not None]


def test_the_events_are_the_same_and_another_process_sees_them_at_once(home):
    key = dg.AssetKey("table")
    with dg.DagsterInstance.from_config(home) as instance, dg.DagsterInstance.from_config(home) as other:
        plain = run(instance)
        assert "_connect" not in vars(instance.event_log_storage)
        with kept_open(instance):
            assert run(instance) == plain
            assert len(other.get_materialized_partitions(key)) == 5
            assert run(other) == plain  # and writes meanwhile
            assert len(instance.get_runs()) == 3
        assert "_connect" not in vars(instance.event_log_storage)
        assert run(instance) == plain
        assert len(other.fetch_materializations(key, limit=100).records) == 20


def test_threads_may_write_together(home):
    with dg.DagsterInstance.from_config(home) as instance, kept_open(instance):

        def report(number: int) -> None:
            for day in range(5):
                event = dg.AssetMaterialization("reported", partition=f"{number}-{day}")
                instance.report_runless_asset_event(event)

        threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(instance.get_materialized_partitions(dg.AssetKey("reported"))) == 20


def test_another_store_is_left_alone():
    with dg.DagsterInstance.ephemeral() as instance, contextlib.ExitStack() as opened:
        before = instance.event_log_storage
        opened.enter_context(kept_open(instance))
        assert instance.event_log_storage is before
        assert len(run(instance)) > 5

"""Forgetting live runs: one a minute, with its events and pictures, would fill a disk by a gigabyte a day.

Runs that settle a session stay for ever, and with them what Dagster knows of every partition; so do runs that failed.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration
from fx_assets.live.decide import POLL, STREAM

TAG, REASON_TAG = "fx/live", "fx/live_reason"
# More than come in the interval, few enough that a tick is over soon.
AT_ONCE = 60


def forget_runs(instance: dg.DagsterInstance, before: datetime, limit: int = AT_ONCE) -> int:
    """Delete live runs by poll or stream that succeeded before a moment (aware), their logs too; returns how many."""
    filters = dg.RunsFilter(
        tags={TAG: "true", REASON_TAG: [POLL, STREAM]}, statuses=[dg.DagsterRunStatus.SUCCESS], updated_before=before
    )
    records = instance.get_run_records(filters, limit=limit, ascending=True)
    for record in records:
        run_id = record.dagster_run.run_id
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(records)


def build_sensor(configuration: Configuration) -> dg.SensorDefinition:
    """Forgets what is older than live.keep_run_hours."""
    keep = timedelta(hours=configuration.data.live.keep_run_hours)

    @dg.sensor(
        **sensor_options(configuration, "live_retention"),
        description="Deletes live runs of polls and streamed bars after "
        f"{configuration.data.live.keep_run_hours:g} hours; those that settle a session stay.",
    )
    def live_retention(context: dg.SensorEvaluationContext):
        deleted = forget_runs(context.instance, datetime.now(UTC) - keep)
        return dg.SkipReason(f"{deleted} runs deleted" if deleted else "no run is old enough")

    return live_retention

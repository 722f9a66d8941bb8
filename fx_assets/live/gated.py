"""Schedules that tick only while the market of at least one instrument is open."""

from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.live.gating import closed_reason
from fx_serving.client.clock import now


def while_open(configuration: Configuration, name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    """A schedule on New York time; while every market is closed it skips, saying when the next one opens."""

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="America/New_York",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def scheduled(context: dg.ScheduleEvaluationContext):
        if reason := closed_reason(configuration, now()):
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"{name}-{context.scheduled_execution_time.isoformat()}")

    return scheduled

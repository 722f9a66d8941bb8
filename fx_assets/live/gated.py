"""Schedules that tick only while the market of at least one instrument is open."""

from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.live.gating import closed_reason
from fx_serving.client.clock import now, stands_still


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


def still_reason() -> str | None:
    """Why a schedule that looks for new data skips, however often it ticks; None where data time moves.

    Schedules tick by the wall clock: without this, a sample looked at on a Saturday would be trained on once more.
    """
    if not stands_still():
        return None
    return f"the data clock (FX_CLOCK) stands still at {now():%Y-%m-%d %H:%M} UTC: nothing new can come"

"""Schedules that tick only while there can be something to do: a market is open, or data time moves."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.live.gating import closed_reason
from fx_serving.client.clock import now, stands_still


def while_open(configuration: Configuration, name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    """A schedule on New York time; while every market is closed it skips, saying when the next one opens."""

    def scheduled(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if reason := closed_reason(configuration, now()):
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"{name}-{context.scheduled_execution_time.isoformat()}")

    return _on_new_york_time(name, job, cron, description, scheduled)


def while_moving(
    name: str, job: Any, cron: str, description: str, ask: Callable[[], dg.RunRequest | str]
) -> dg.ScheduleDefinition:
    """A schedule on New York time that skips while the data clock stands still.

    ask: what to run, or in words why nothing. The moment is added to the request's run key: run keys are remembered for
    ever, and what failed is to be tried again at the next tick.
    """

    def scheduled(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if reason := still_reason():
            return dg.SkipReason(reason)
        found = ask()
        if isinstance(found, str):
            return dg.SkipReason(found)
        return found._replace(run_key=f"{found.run_key}-{context.scheduled_execution_time.isoformat()}")

    return _on_new_york_time(name, job, cron, description, scheduled)


def _on_new_york_time(
    name: str,
    job: Any,
    cron: str,
    description: str,
    scheduled: Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason],
) -> dg.ScheduleDefinition:
    """A schedule that is on by default; `scheduled` says at each tick what to run, or why nothing."""
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="America/New_York",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
        execution_fn=scheduled,
    )


def still_reason() -> str | None:
    """Why a schedule that looks for new data skips, however often it ticks; None where data time moves.

    Schedules tick by the wall clock: without this, a sample looked at on a Saturday would be trained on once more.
    """
    if not stands_still():
        return None
    return f"the data clock (FX_CLOCK) stands still at {now():%Y-%m-%d %H:%M} UTC: nothing new can come"

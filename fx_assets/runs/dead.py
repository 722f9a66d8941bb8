"""Runs whose process is gone: executed by an `fx` command that was killed, they would stay "started" for ever.

Such a run keeps its pool slots, and Dagster cannot tell that it is dead: it only watches processes it has launched
itself. Each run therefore carries the process that executes it as tags.
"""

import socket
from collections.abc import Mapping

import dagster as dg
import psutil

STARTED_BY = "fx/started_by"
HOST, PID, BORN = "fx/host", "fx/pid", "fx/process_started"
_UNFINISHED = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
_SAME_START_S = 1.0
_LIMIT = 1000


def process_tags() -> dict[str, str]:
    """Tags that name this process: a pid alone may be another process tomorrow."""
    me = psutil.Process()
    return {STARTED_BY: "fx", HOST: socket.gethostname(), PID: str(me.pid), BORN: f"{me.create_time():.2f}"}


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of dead `fx` processes of this host as failed and free their pool slots; returns their ids."""
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={STARTED_BY: "fx", HOST: socket.gethostname()})
    closed = []
    for run in instance.get_runs(filters, limit=_LIMIT):
        if _alive(run.tags):
            continue
        instance.report_run_failed(run, f"The process that executed this run ({run.tags.get(PID)}) is gone.")
        free_slots(instance, run.run_id)
        closed.append(run.run_id)
    return closed


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back what a run that has ended still holds of the pools; an interrupted step does not do so itself."""
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _alive(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags[PID]))
        return abs(process.create_time() - float(tags[BORN])) < _SAME_START_S
    except (KeyError, ValueError, psutil.NoSuchProcess):
        return False
    except psutil.AccessDenied:  # it lives, and belongs to somebody else
        return True


def dead_runs_sensor() -> dg.SensorDefinition:
    """Looks for dead runs while the platform runs, so that its own runs never wait for their pool slots."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs of `fx` commands that were killed as failed.",
    )
    def dead_runs(context: dg.SensorEvaluationContext):
        closed = close_dead_runs(context.instance)
        return dg.SkipReason(f"marked as failed: {', '.join(closed)}" if closed else "no dead run")

    return dead_runs

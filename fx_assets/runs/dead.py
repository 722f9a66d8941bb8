"""Runs whose process is gone: killed with its `fx` command or its platform, they would stay "started" for ever.

Such a run keeps its pool slots and its place among the runs that may work at once, and Dagster cannot tell that it is
dead: a code server watches the processes that it has started, and nobody watches the code server. A run therefore
carries the host and the process that executes it, or launches it (launcher.py), as tags; once it has one of its own,
an event names it.
"""

import os
import socket
from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration

HOST, PID, BORN = "fx/host", "fx/pid", "fx/process_started"
_NOT_YET = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
_UNFINISHED = [*_NOT_YET, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# A run that is made again has the tags of the one before until it is launched.
_BEING_STARTED = timedelta(seconds=10)
# A clock that is set moves the moments at which processes began; a number is not used again within a minute.
_CLOCK_S = 60.0
_LIMIT, _EVENTS = 1000, 10
_NOBODY = 2**31 - 1  # no process has that number: the largest is below it


def process_tags() -> dict[str, str]:
    """Tags that name this process and its host: a pid alone may be another process tomorrow."""
    me = psutil.Process()
    return {HOST: _host(), PID: str(me.pid), BORN: f"{me.create_time():.2f}"}


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this host whose process is gone as ended and free their pool slots; returns their ids.

    As failed, or as canceled where somebody had asked for that.
    """
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={HOST: _host()})
    closed = []
    for record in instance.get_run_records(filters, limit=_LIMIT):
        run = record.dagster_run
        if run.status in _NOT_YET and datetime.now(UTC) - record.update_timestamp.replace(tzinfo=UTC) < _BEING_STARTED:
            continue
        pid, seen = _process(instance, run)
        if _alive(pid, seen) or _has_ended(instance, run.run_id):
            continue
        told = f"The process that executed this run ({pid}) is gone."
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, told)
        else:
            instance.report_run_failed(run, told)
        free_slots(instance, run.run_id)
        closed.append(run.run_id)
    return closed


def _host() -> str:
    """Where this process's number means something: a container may have its host's name, and numbers of its own."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return socket.gethostname()


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back what a run that has ended still holds of the pools; an interrupted step does not do so itself."""
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[int, float]:
    """The process that works on a run, by its pid, and a moment (Unix time) at which it was there.

    Until a launched run has a process of its own it depends on the one that launched it.
    """
    told = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=_EVENTS).records
    for entry in (record.event_log_entry for record in told):
        data = entry.get_dagster_event().engine_event_data
        if "pid" in data.metadata:
            return int(str(data.metadata["pid"].value)), entry.timestamp
    try:
        return int(run.tags[PID]), float(run.tags[BORN])
    except (KeyError, ValueError):
        return _NOBODY, 0.0


def _alive(pid: int, seen: float) -> bool:
    """Whether it works; one that began later has the number of one that has ended, a zombie only waits to be noted."""
    try:
        process = psutil.Process(pid)
        return process.create_time() < seen + _CLOCK_S and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it lives, and belongs to somebody else
        return True


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run has an end by now: its process ends just after it has told so."""
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def dead_runs_sensor(configuration: Configuration) -> dg.SensorDefinition:
    """Looks for dead runs while the platform runs, so that its own runs never wait for their pool slots."""

    @dg.sensor(
        **sensor_options(configuration, "dead_runs"),
        description="Marks runs whose process was killed as failed.",
    )
    def dead_runs(context: dg.SensorEvaluationContext):
        closed = close_dead_runs(context.instance)
        return dg.SkipReason(f"marked as failed: {', '.join(closed)}" if closed else "no dead run")

    return dead_runs

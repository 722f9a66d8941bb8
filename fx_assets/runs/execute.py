"""The child: executes planned runs, one after another, on the instance of DAGSTER_HOME, and reports on stdout.

    python -m fx_assets.runs.execute < plan.json

They are ordinary Dagster runs: the UI shows them, with their events and logs.
"""

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import time
import warnings

import dagster as dg
import msgspec

from fx_assets.errors import FxError
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.stack.initialise import open_instance

PROGRESS = "progress"
PARENT_POLL_S = 0.5


def _report(event: RunEvent) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: nobody to tell
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    """Interrupt this process when the one that started it is gone, even by kill -9: nobody waits for its runs.

    Interrupted, not killed: Dagster then records the run as failed instead of leaving it "started" for ever.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class _ProgressHandler(logging.Handler):
    """Turns Dagster's log records into RunEvents."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def emit(self, record: logging.LogRecord) -> None:
        event = (getattr(record, "dagster_meta", None) or {}).get("dagster_event")
        if event is None:
            if record.levelno >= logging.WARNING:
                _report(RunEvent(kind="log", run=self.number, text=record.getMessage()))
            return
        what = event.event_type_value
        if what == "ASSET_MATERIALIZATION":
            made = event.step_materialization_data.materialization
            key = "/".join(made.asset_key.path)
            _report(RunEvent(kind="materialized", run=self.number, asset=key, partition=made.partition))
        elif what == "STEP_SUCCESS":
            seconds = event.step_success_data.duration_ms / 1000
            _report(RunEvent(kind="step_done", run=self.number, asset=event.step_key, seconds=seconds))
        elif what == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
            check = event.asset_check_evaluation_data
            name = f"{'/'.join(check.asset_key.path)}: {check.check_name}"
            _report(RunEvent(kind="check_failed", run=self.number, text=name))


def execute(number: int, plan: PlannedRun, instance: dg.DagsterInstance) -> bool:
    """Execute one planned run; reports its events and returns whether it succeeded."""

    @dg.logger
    def progress(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger(f"fx.progress.{number}", level=logging.DEBUG)  # materializations are logged as DEBUG
        logger.addHandler(_ProgressHandler(number))
        return logger

    built = importlib.import_module(plan.location).build_definitions()
    definitions = dg.Definitions.merge(built, dg.Definitions(loggers={PROGRESS: progress}))
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(key.split("/")) for key in plan.assets}
    )
    # What "dagster/asset_partition_range" tags mean to the UI's own backfills: one run over a range.
    tags = {"fx/started_by": "fx", **plan.tags}
    if plan.first != plan.last:
        tags |= {
            "dagster/asset_partition_range_start": str(plan.first),
            "dagster/asset_partition_range_end": str(plan.last),
        }
    started = time.monotonic()
    result = job.execute_in_process(
        run_config={"loggers": {PROGRESS: {}}},
        instance=instance,
        partition_key=plan.first if plan.first == plan.last else None,
        tags=tags,
        raise_on_error=False,
    )
    failures = [_explain(e) for e in result.all_events if e.is_step_failure]
    _report(
        RunEvent(
            kind="finished",
            run=number,
            run_id=result.run_id,
            ok=result.success,
            seconds=time.monotonic() - started,
            text="\n".join(failures) or None,
        )
    )
    return result.success


def _explain(event: dg.DagsterEvent) -> str:
    """A failed step in words: our own errors as they are, anything else with its class."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"{event.step_key} failed"
    ours = {kind.__name__ for kind in FxError.__subclasses__()} | {"Failure"}
    message = error.message.strip()
    if (error.cls_name or "") in ours:
        message = message.partition(": ")[2] or message
    return f"{event.step_key}: {message}"


def main() -> int:
    """Read a list of PlannedRun from stdin and execute them; stops at the first failure."""
    # Dagster announces each beta parameter once per use; they are known and pinned by the lock file.
    warnings.simplefilter("ignore")
    _end_with_parent()
    plans = msgspec.json.decode(sys.stdin.buffer.read(), type=list[PlannedRun])
    with open_instance() as instance:
        for number, plan in enumerate(plans):
            _report(RunEvent(kind="started", run=number, text=", ".join(plan.assets)))
            if not execute(number, plan, instance):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

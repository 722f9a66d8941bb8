"""The child: executes planned runs, one after another, on the instance of DAGSTER_HOME, and reports on stdout.

    python -m fx_assets.runs < plans.jsonl

They are ordinary Dagster runs: the UI shows them, with their events and logs.
"""

import importlib
import logging
import os
import signal
import sys
import threading
import time
import uuid
import warnings
from collections import defaultdict

import dagster as dg
import msgspec
import psutil

from fx_assets.errors import FxError
from fx_assets.freshness import checks as freshness_checks
from fx_assets.freshness import failed_partitions
from fx_assets.inputs import with_siblings
from fx_assets.runs import timings
from fx_assets.runs.collector import rarely_collected
from fx_assets.runs.dead import close_dead_runs, free_slots, process_tags
from fx_assets.runs.event_store import kept_open
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.pools import set_limits
from fx_assets.silver import news_check
from fx_assets.stack.initialise import open_instance
from fx_serving.client.home import fx_home

STANDING_CHECKS = {failed_partitions.CHECK, freshness_checks.CHECK, news_check.CHECK}
PROGRESS = "progress"
PARENT_POLL_S = 0.5
INTERRUPTED = 130  # what a shell calls Ctrl-C
WORKING = {"started", "materialized", "step_done"}  # kinds of events that no interrupted run reports


def _report(event: RunEvent) -> None:
    """Tell the parent. Where nobody listens any more it is gone, or was interrupted, and this process has to end.

    It was asked to by a signal; but one that comes while Dagster changes the handlers of signals, or within a
    destructor, is lost, and all runs would be made to their end. So a process that still works interrupts itself.
    """
    try:
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        if event.kind in WORKING:
            os.kill(os.getpid(), signal.SIGTERM)


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
    """Turns Dagster's log records into RunEvents, and measures the steps."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number
        self.made: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # step -> table -> partitions
        self.seconds: dict[str, float] = {}

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
            rows = getattr(made.metadata.get("dagster/partition_row_count"), "value", None)
            self.made[event.step_key][key] += 1
            _report(RunEvent(kind="materialized", run=self.number, asset=key, partition=made.partition, rows=rows))
        elif what == "STEP_SUCCESS":
            seconds = self.seconds[event.step_key] = event.step_success_data.duration_ms / 1000
            _report(RunEvent(kind="step_done", run=self.number, asset=event.step_key, seconds=seconds))
        elif what == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
            check = event.asset_check_evaluation_data
            name = f"{'/'.join(check.asset_key.path)}: {check.check_name}"
            told = f"{name} ({check.description})" if check.description else name
            _report(RunEvent(kind="check_failed", run=self.number, text=told))

    def measured(self, run_seconds: float) -> dict[str, timings.Measurement]:
        """Seconds and partitions by table; a step that makes several tables is shared among them."""
        found: dict[str, timings.Measurement] = {}
        for step, seconds in self.seconds.items():
            tables = self.made[step]
            found |= {table: (partitions, seconds / len(tables)) for table, partitions in tables.items()}
        partitions = sum(n for n, _ in found.values())
        return found | {timings.RUN: (partitions, max(0.0, run_seconds - sum(self.seconds.values())))}


def execute(number: int, plan: PlannedRun, instance: dg.DagsterInstance, first: bool = False) -> bool:
    """Execute one planned run; reports its events and returns whether it succeeded. first: of this process."""

    handler = _ProgressHandler(number)

    @dg.logger
    def progress(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger(f"fx.progress.{number}", level=logging.DEBUG)  # materializations are logged as DEBUG
        logger.addHandler(handler)
        return logger

    built = importlib.import_module(plan.location).build_definitions()
    definitions = dg.Definitions.merge(built, dg.Definitions(loggers={PROGRESS: progress}))
    job = _job(definitions, {dg.AssetKey(key.split("/")) for key in with_siblings(plan.assets)})
    # What "dagster/asset_partition_range" tags mean to the UI's own backfills: one run over a range.
    tags = {**process_tags(), **plan.tags}
    if plan.first != plan.last:
        tags |= {
            "dagster/asset_partition_range_start": str(plan.first),
            "dagster/asset_partition_range_end": str(plan.last),
        }
    started = time.monotonic()
    since_start = time.time() - psutil.Process().create_time()
    run_id = str(uuid.uuid4())
    try:
        result = job.execute_in_process(
            run_config={"loggers": {PROGRESS: {}}},
            instance=instance,
            partition_key=plan.first if plan.first == plan.last else None,
            tags=tags,
            raise_on_error=False,
            run_id=run_id,
        )
    finally:
        free_slots(instance, run_id)
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.NOT_STARTED:
            instance.report_run_canceled(run, "Interrupted while it was being made.")
    seconds = time.monotonic() - started
    if result.success:
        start = {timings.START: (1, since_start)} if first else {}
        timings.record(fx_home(), {**handler.measured(seconds), **start})
    failures = [_explain(e) for e in result.all_events if e.is_step_failure]
    _report(
        RunEvent(
            kind="finished",
            run=number,
            run_id=result.run_id,
            ok=result.success,
            seconds=seconds,
            text="\n".join(failures) or None,
        )
    )
    return result.success


def _job(definitions: dg.Definitions, assets: set[dg.AssetKey]) -> dg.JobDefinition:
    """The assets and the checks on them, except the standing ones, which do not look at this run's sessions."""
    whole = definitions.resolve_implicit_global_asset_job_def()
    checks = {key for key in whole.asset_layer.asset_graph.asset_check_keys if key.asset_key in assets}
    return whole.get_subset(
        asset_selection=assets, asset_check_selection={key for key in checks if key.name not in STANDING_CHECKS}
    )


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
    """Read lists of PlannedRun from stdin, one a line, and execute them; ends with stdin, or at the first failure."""
    # Dagster announces each beta parameter once per use; they are known and pinned by the lock file.
    warnings.simplefilter("ignore")
    _end_with_parent()
    with open_instance() as instance, kept_open(instance), rarely_collected():
        set_limits(instance)
        close_dead_runs(instance)
        first = True
        for line in sys.stdin.buffer:
            for number, plan in enumerate(msgspec.json.decode(line, type=list[PlannedRun])):
                _report(RunEvent(kind="started", run=number, text=", ".join(plan.assets)))
                if not execute(number, plan, instance, first):
                    return 1
                first = False
    return 0

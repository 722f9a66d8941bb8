"""The ticks of the alert sensors over a busy home: a quarter of check evaluations, and far too many open alerts."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from benchmarks.report import Figure

SECTION = "alerts"
CHECKS, OPEN, TICKS = 100_000, 200, 10
_COPIED = (
    "check_name, partition, execution_status, evaluation_event_timestamp, materialization_event_storage_id, "
    "asset_key, run_id, evaluation_event, evaluation_event_storage_id"
)


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="table")])
def table() -> dg.MaterializeResult:
    """Made once; its check's record is copied."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="sound", passed=False)])


def measure() -> Iterator[Figure]:
    """Wall time of whole ticks, as the daemon's threads spend it."""
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import dagster_home
    from fx_monitoring.alerts import Alert, Desk, sensors
    from fx_serving.client.home import Stores

    with contextlib.ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fx-bench-")))
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(dagster_home(home))))
        _fill(instance)
        desk = Desk(Stores(home))
        words = {"owner": "data", "title": "t", "detail": "d", "link": "l", "remedy": "r"}
        for number in range(OPEN):
            desk.fire(Alert(key=f"RunFailed/job_{number}", severity="warning", **words))
        built = {sensor.name: sensor for sensor in sensors.build(load_configuration(), Stores(home))}
        watch, taken = built["alert_watch"], []
        for _ in range(TICKS + 1):
            started = time.perf_counter()
            watch.evaluate_tick(dg.build_sensor_context(instance=instance))
            taken.append(time.perf_counter() - started)
    how = f"{CHECKS:,} check records in SQLite, {OPEN} failed jobs and 60 failed checks open"
    yield Figure(SECTION, "tick of alert_watch, the first", taken[0], "s", how)
    yield Figure(SECTION, "tick of alert_watch, worst of the others", max(taken[1:]), "s", f"{how}; {TICKS} ticks")


def _fill(instance: dg.DagsterInstance) -> None:
    """Check records as Dagster writes them: one is made by it, and copied for 60 tables."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    dg.materialize([table], instance=instance, run_config=quiet)
    path = Path(instance.root_directory) / "history" / "runs" / "index.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        *same, _, _, event, storage_id = database.execute(f"SELECT {_COPIED} FROM asset_check_executions").fetchone()
        rows = (
            (
                *same,
                f'["t{n % 60}"]',
                f"run {n}",
                event.replace('"table"', f'"t{n % 60}"'),
                storage_id + n + 1,
            )
            for n in range(CHECKS)
        )
        marks = ", ".join("?" * len(_COPIED.split(",")))
        database.executemany(f"INSERT INTO asset_check_executions ({_COPIED}) VALUES ({marks})", rows)

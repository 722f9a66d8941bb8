"""One look of the service levels' sensor, and a day's worth of them, with 100,000 runs a day in Dagster's records."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from benchmarks.report import Figure

SECTION = "automation"
RUNS = 100_000
JOBS = ("live", "monitor", "drift", "train_move_60m", "paper_trade")
TICK_S = 60
TICKS = 20


def measure() -> Iterator[Figure]:
    """Ticks in the middle of the day, and the first one, which finds everything unread."""
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import dagster_home
    from fx_monitoring.slo.collect import look
    from fx_serving.client.home import Stores

    configuration = load_configuration()
    with contextlib.ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fx-bench-")))
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(dagster_home(home))))
        end = datetime.now(UTC)
        start = end - timedelta(days=1)
        _fill(instance, start, end)
        stores, first = Stores(home), time.perf_counter()
        look(instance, stores, configuration, end)
        first = time.perf_counter() - first
        _read_up_to(stores, end - timedelta(seconds=TICK_S * TICKS))
        taken = []
        for number in range(TICKS, 0, -1):
            started = time.perf_counter()
            look(instance, stores, configuration, end - timedelta(seconds=TICK_S * (number - 1)))
            taken.append(time.perf_counter() - started)
    how = f"{RUNS:,} runs a day in SQLite, every {TICK_S} s, {TICKS} looks"
    yield Figure(SECTION, "look of the service levels, worst", max(taken), "s", how)
    yield Figure(SECTION, "look of the service levels, mean", sum(taken) / len(taken), "s", how)
    yield Figure(SECTION, "first look, all of it unread", first, "s", "stops reading after its time, goes on next time")


def _fill(instance: dg.DagsterInstance, start: datetime, end: datetime) -> None:
    """Run records as Dagster writes them: one is made by it, and copied with other ids and times."""
    job = dg.GraphDefinition(name="live", node_defs=[]).to_job()
    model = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
    path = Path(instance.root_directory) / "history" / "runs.db"
    step = (end - start) / RUNS
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        columns = [row[1] for row in database.execute("pragma table_info(runs)")]
        values = dict(zip(columns, database.execute("select * from runs").fetchone(), strict=True))
        rows = []
        for number in range(RUNS):
            run_id, at = str(uuid.uuid4()), start + number * step
            name = JOBS[number % len(JOBS)]
            body = values["run_body"].replace(model.run_id, run_id).replace('"live"', f'"{name}"')
            stamp = at.replace(tzinfo=None).isoformat(sep=" ")
            changed = {
                "id": None,
                "run_id": run_id,
                "run_body": body,
                "pipeline_name": name,
                "create_timestamp": stamp,
                "update_timestamp": stamp,
                "start_time": at.timestamp(),
                "end_time": at.timestamp() + 20,
            }
            rows.append([changed.get(column, values[column]) for column in columns])
        marks = ", ".join("?" * len(columns))
        database.executemany(f"insert into runs ({', '.join(columns)}) values ({marks})", rows)


def _read_up_to(stores: object, moment: datetime) -> None:
    """As if every look up to a moment had been made."""
    import msgspec

    from fx_monitoring.slo.store import State, state_path
    from fx_serving.client.files import atomic_write
    from fx_serving.client.home import Stores

    assert isinstance(stores, Stores)
    atomic_write(state_path(stores), msgspec.json.encode(State(after=moment)))

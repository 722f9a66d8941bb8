"""One range run in a process of its own: `python -m benchmarks.range_run < case.json` prints what it took as JSON.

From candle files to gold and labels, through Dagster on SQLite, in a home that is removed afterwards. Its own process,
so that its peak of memory is its own, and nothing is warm but the compiled kernels.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

# Where Dagster's events, and what is kept about assets beside them, are written.
EVENT_WRITES = ("store_event", "store_event_batch", "store_asset_check_event")
_SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_SAMPLE_S = 1.0  # one look costs the kernel some milliseconds for each GiB


class Case(msgspec.Struct):
    """files: candle file by instrument. first, last: sessions to make. tables: all silver and gold tables if empty.
    workers: of Dask; without any the run computes by itself. cells: of a chunk, where not as usual.
    """

    granularity: str
    files: dict[str, str]
    first: str
    last: str
    tables: tuple[str, ...] = ()
    profile: str | None = None
    workers: int = 0
    cells: int = 0


class Taken(msgspec.Struct):
    """Seconds of the import, of the whole run and of the event writes in it; CPU seconds of both; peak PSS in GiB;
    bytes of the lake and of Dagster's folder. workers_cpu_s: CPU seconds of ended children, which Dask's workers are.
    steps: seconds by step; published: those of them after it had made its tables.
    """

    rows: int
    sessions: int
    partitions: int
    events: int
    import_s: float
    run_s: float
    events_s: float
    events_cpu_s: float
    import_cpu_s: float
    run_cpu_s: float
    peak_gib: float
    lake_bytes: int
    dagster_bytes: int
    workers_cpu_s: float
    steps: dict[str, float]
    published: dict[str, float]

    @property
    def work_s(self) -> float:
        """Import and run without the event writes."""
        return self.import_s + self.run_s - self.events_s


class _Stopwatch:
    """The time spent below some methods of an object, by whichever thread."""

    def __init__(self, owner: Any, methods: tuple[str, ...]):
        self.seconds, self.cpu, self.calls = 0.0, 0.0, 0
        self._inside = threading.local()
        for name in methods:
            if hasattr(owner, name):
                setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            if getattr(self._inside, "yes", False):  # one of the methods calls another
                return method(*arguments, **named)
            self._inside.yes = True
            started, cpu = time.perf_counter(), time.thread_time()
            try:
                return method(*arguments, **named)
            finally:
                self._inside.yes = False
                self.seconds += time.perf_counter() - started
                self.cpu += time.thread_time() - cpu
                self.calls += 1

        return timed


@contextlib.contextmanager
def peak_pss() -> Iterator[list[float]]:
    """The largest proportional set size of this process while inside, GiB; sampled."""
    peak, over = [0.0], threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_S):
            peak[0] = max(peak[0], _pss())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _pss() -> float:
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 2**20
    return 0.0


def configure(home: Path, case: Case) -> None:
    """A configuration of the case's instruments, fed by `fx import`; models as shipped."""
    from fx_assets.configuration import SHIPPED

    folder = home / "config"
    folder.mkdir(parents=True)
    shipped = yaml.safe_load((SHIPPED / "instruments.yaml").read_text())
    instruments = {
        "sessions": {"start": case.first, "end": case.last},
        # Thin holiday sessions of real files have a few jumps; they are quarantined, and the session is used.
        "sources": {"import": {"max_bad_share": 0.05}},
        "defaults": {**shipped["defaults"], "granularity": case.granularity, "sources": ["import"]},
        "instruments": {symbol: {"typical_spread": 0.0001} for symbol in case.files},
    }
    (folder / "instruments.yaml").write_text(yaml.safe_dump(instruments))
    if case.workers:
        compute = {"kind": "dask", "workers": case.workers}
        (folder / "data.yaml").write_text(yaml.safe_dump({"compute": compute}))
    os.environ["FX_HOME"] = str(home)


def run(case: Case) -> Taken:
    """Import the files, then make the tables in one range run."""
    import dagster as dg

    from fx_assets.bronze.files import Bronze
    from fx_assets.bronze.imports import import_file
    from fx_assets.configuration import load_configuration
    from fx_assets.definitions import build_definitions
    from fx_assets.runs.collector import rarely_collected
    from fx_assets.runs.event_store import kept_open
    from fx_assets.schemas import build_schemas
    from fx_assets.stack.environment import dagster_home
    from fx_assets.tables import chunks
    from fx_serving.client.home import Stores

    chunks.CELLS = case.cells or chunks.CELLS
    with contextlib.ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fx-bench-")))
        configure(home, case)
        configuration = load_configuration()
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(dagster_home(home))))
        # As `fx backfill` does.
        opened.enter_context(kept_open(instance))
        watch = _Stopwatch(instance.event_log_storage, EVENT_WRITES)
        tables = case.tables or tuple(build_schemas(configuration))
        job = build_definitions(configuration, home).resolve_implicit_global_asset_job_def()
        job = job.get_subset(asset_selection={dg.AssetKey(name.split("/")) for name in tables})
        peak = opened.enter_context(peak_pss())
        started, cpu = time.perf_counter(), time.process_time()
        bronze, rows = Bronze(Stores(home).lake), 0
        for symbol, file in case.files.items():
            rows += import_file(bronze, configuration, Path(file), symbol, case.granularity).rows
        imported, imported_cpu = time.perf_counter() - started, time.process_time() - cpu
        tags = {"dagster/asset_partition_range_start": case.first, "dagster/asset_partition_range_end": case.last}
        started, cpu = time.perf_counter(), time.process_time()
        with _profiled(case.profile), rarely_collected():
            result = job.execute_in_process(instance=instance, tags=tags, run_config=_SILENT)
        total, total_cpu = time.perf_counter() - started, time.process_time() - cpu
        made = result.get_asset_materialization_events()
        steps = {
            event.step_key: event.step_success_data.duration_ms / 1000
            for event in result.all_events
            if event.event_type_value == "STEP_SUCCESS" and event.step_key is not None
        }
        return Taken(
            rows=rows,
            sessions=len({event.partition for event in made}),
            partitions=len(made),
            events=watch.calls,
            import_s=imported,
            run_s=total,
            events_s=watch.seconds,
            events_cpu_s=watch.cpu,
            import_cpu_s=imported_cpu,
            run_cpu_s=total_cpu,
            peak_gib=peak[0],
            lake_bytes=_size(home / "lake"),
            dagster_bytes=_size(home / "dagster"),
            workers_cpu_s=sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]),
            steps=steps,
            published=_published(instance, result.run_id),
        )


def _published(instance: Any, run_id: str) -> dict[str, float]:
    """Seconds from the first output of a step to its end, by step: showing files, and Dagster's events about them."""
    import dagster as dg

    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for entry in instance.all_logs(run_id, of_type={dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.STEP_SUCCESS}):
        first.setdefault(entry.step_key, entry.timestamp)
        last[entry.step_key] = entry.timestamp
    return {step: last[step] - first[step] for step in first}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    import cProfile

    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(path)


def main() -> int:
    """Read a case from stdin, run it, print what it took."""
    warnings.simplefilter("ignore")
    taken = run(msgspec.json.decode(sys.stdin.buffer.read(), type=Case))
    sys.stdout.buffer.write(msgspec.json.encode(taken) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

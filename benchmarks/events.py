"""What Dagster's record of a range run costs, beside the work itself: SQLite on this machine's disk."""

from __future__ import annotations

import contextlib
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.report import Figure

FIRST, LAST = "2021-01-03", "2021-02-25"
ASSETS = ("bronze/candles", "silver/candles", "silver/technical", "silver/volatility", "gold/labels")
SECTION = "range run"
#: Printing each event would be measured too.
_SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class _Stopwatch:
    """The time spent below one method of an object, while it is replaced by a timed one."""

    def __init__(self, owner: Any, method: str):
        self.seconds, self.calls = 0.0, 0
        self._owner, self._name, self._method = owner, method, getattr(owner, method)

    def __enter__(self) -> _Stopwatch:
        setattr(self._owner, self._name, self._timed)
        return self

    def __exit__(self, *_: object) -> None:
        delattr(self._owner, self._name)

    def _timed(self, *arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return self._method(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - started
            self.calls += 1


def measure() -> Iterator[Figure]:
    """One run over a range of sessions; the time inside the event store against all of it."""
    warnings.simplefilter("ignore")
    from fx_assets.definitions import build_definitions
    from fx_assets.stack.environment import dagster_home

    with contextlib.ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fx-bench-")))
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(dagster_home(home))))
        watch = opened.enter_context(_Stopwatch(instance.event_log_storage, "store_event"))
        job = build_definitions(home=home).resolve_implicit_global_asset_job_def()
        job = job.get_subset(asset_selection={dg.AssetKey(name.split("/")) for name in ASSETS})
        tags = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": LAST}
        started = time.perf_counter()
        result = job.execute_in_process(instance=instance, tags=tags, run_config=_SILENT)
        total = time.perf_counter() - started
    made = len(result.get_asset_materialization_events())
    how = f"{made} materializations, {watch.calls} events, {len(ASSETS)} tables, {FIRST} to {LAST}"
    yield Figure(SECTION, "whole run", total, "s", how)
    yield Figure(SECTION, "writing events", watch.seconds / made * 1e3, "ms/materialization", "time in the event store")
    yield Figure(SECTION, "everything else", (total - watch.seconds) / made * 1e3, "ms/materialization", "the rest")
    yield Figure(SECTION, "share of events", 100 * watch.seconds / total, "%", "of the whole run")

"""Measuring a step where it runs: the decorator of every asset function.

It measures the asset's function, which computes and, for tables, writes. What Dagster itself does around it (events,
publishing) is not part of it; `fx cost` sets it against the runs' whole time.
"""

import functools
import logging
import os
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.cost.ledger import Entry, add
from fx_assets.cost.memory import peak_bytes
from fx_assets.logs.steps import in_step

_log = logging.getLogger(__name__)
_ROWS = ("dagster/row_count", "run_rows")
_ASKED = ("fx/command", "fx/reason", "fx/row")


def metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Note what each call costs, in the home of FX_HOME; nothing without it, or outside of a run."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        begun, cpu = time.monotonic(), _cpu_s()
        with in_step():
            result = function(*args, **kwargs)
        if home := os.environ.get("FX_HOME"):
            _note(Path(home), result, time.monotonic() - begun, _cpu_s() - cpu)
        return result

    return measured


def _note(home: Path, result: Any, seconds: float, cpu_s: float) -> None:
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return
    keys = list(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else []
    results = result if type(result) in (list, tuple) else [result]  # a MaterializeResult is a tuple itself
    entry = Entry(
        at=datetime.now(UTC),
        run_id=context.run.run_id,
        assets=sorted(key.to_user_string() for key in context.selected_asset_keys),
        seconds=round(seconds, 4),
        cpu_s=round(cpu_s, 4),
        peak_mib=peak_bytes() / 2**20,
        partitions=len(keys),
        first=keys[0] if keys else None,
        last=keys[-1] if keys else None,
        rows=_total(_rows(one) for one in results),
        size=_total(getattr(getattr(one, "value", None), "size", None) for one in results),
        command=_asked_by(context.run),
    )
    try:
        add(home, entry)
    except OSError as error:  # what was made matters more than what it cost
        _log.warning("the cost of this step cannot be noted: %s", error)


def _asked_by(run: dg.DagsterRun) -> str | None:
    """The command, reason or row of automation.yaml that asked for a run, else its job; None for assets by hand."""
    named = next((run.tags[tag] for tag in _ASKED if tag in run.tags), None)
    return named or (None if run.job_name.startswith("__") else run.job_name)


def _rows(result: Any) -> Any:
    metadata = getattr(result, "metadata", None) or {}
    return next((metadata[name] for name in _ROWS if name in metadata), None)


def _total(found: Any) -> int | None:
    known = [int(getattr(value, "value", value)) for value in found if isinstance(getattr(value, "value", value), int)]
    return sum(known) if known else None


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime

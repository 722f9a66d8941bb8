"""What is logged, asked and traced within a step belongs to its run and partition."""

import contextlib
import os
from collections.abc import Iterator, Mapping

import dagster as dg

from fx_serving.client import tracing
from fx_serving.client.logs import log_context


@contextlib.contextmanager
def in_step() -> Iterator[None]:
    """Around the work of a step; nothing outside of a run."""
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        yield
        return
    if os.environ.get("FX_HOME"):
        tracing.start("fx-dagster")
    run_id, partition = context.run.run_id, partition_of(context.run.tags)
    assets = ", ".join(sorted(key.to_user_string() for key in context.selected_asset_keys))
    # A run that was asked for within a trace goes on with it.
    parent = context.run.tags.get("traceparent")
    named = {"fx.run_id": run_id, "fx.partition": partition or "", "fx.assets": assets}
    with log_context(run_id=run_id, partition=partition), tracing.span(f"step {assets}", parent, **named):
        yield


def partition_of(tags: Mapping[str, str]) -> str | None:
    """The partition of a run by its tags; of a range `first..last`."""
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return tags.get("dagster/partition") or (f"{first}..{last}" if first and last else None)

"""The IO manager of all partitioned tables: Parquet files in the lake, one for each partition.

A range run hands over one frame for each partition; the partitions must be exactly the run's. Reading, a missing
file of the run's own range is an error; a missing one that only lookback or look-ahead asked for is listed in the
log, because history has a beginning and the future has not happened.
"""

import time
from collections.abc import Mapping

import dagster as dg
import pandas as pd

from fx_assets.errors import MissingData
from fx_assets.failures import no_retry
from fx_assets.lake import Lake
from fx_assets.partitions import with_neighbours
from fx_assets.schemas import Schema


class ParquetIOManager(dg.IOManager):
    """Writes dicts of frames by partition key (or one frame for one key); loads one frame over all keys."""

    def __init__(self, lake: Lake, schemas: Mapping[str, Schema], prefix: str = ""):
        self.lake = lake
        self.schemas = schemas
        self.prefix = prefix

    def handle_output(self, context: dg.OutputContext, obj: dict[str, pd.DataFrame]) -> None:
        table = self.prefix + "/".join(context.asset_key.path)
        expected = list(context.asset_partition_keys)
        if sorted(obj) != sorted(expected):
            odd = sorted(set(obj) ^ set(expected))
            raise dg.DagsterInvariantViolationError(
                f"{table}: the run has {len(expected)} partitions, the frames {len(obj)}; they differ in {odd[:5]}."
            )
        self.lake.sweep(table, time.time())
        written = self.lake.write(table, obj)
        context.add_output_metadata({"bytes": written, "path": str(self.lake.root / table)})

    @no_retry()
    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        table = self.prefix + "/".join(context.asset_key.path)
        own = list(context.asset_partition_keys)
        every = list(context.asset_partitions_def.get_partition_keys())
        keys = with_neighbours(own, every, context.definition_metadata)
        frames = self.lake.read(table, keys)
        missing = [key for key in keys if key not in frames]
        if lost := [key for key in missing if key in set(own)]:
            raise MissingData(
                f"{table}: no file for session {', '.join(lost[:5])} ({len(lost)} in all). "
                f"Run `fx backfill --from {lost[0]} --to {lost[-1]}`."
            )
        if missing:
            context.log.info(f"{table}: outside the run's range and not there: {', '.join(missing)}")
        parts = [frame for frame in frames.values() if len(frame)]
        if parts:
            return pd.concat(parts, ignore_index=True)
        return next(iter(frames.values())) if frames else self.schemas[table].empty()

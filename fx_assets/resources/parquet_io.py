"""The IO manager of all partitioned tables: Parquet files in the lake, one for each partition.

A range run hands over what it has staged, or one frame for each partition; the partitions must be exactly the run's.
Reading, a missing file of the run's own range is an error; a missing one that only lookback or look-ahead asked for is
listed in the log, because history has a beginning and the future has not happened. The same holds for a partition that
has problems.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
import pandas as pd

from fx_assets.errors import DataError, MissingData
from fx_assets.failures import no_retry
from fx_assets.inputs import Input
from fx_assets.lake import Lake
from fx_assets.lineage import Stamp
from fx_assets.partitions import AHEAD, LOOKBACK, SETTING, with_neighbours
from fx_assets.quality.held import TABLE as HELD
from fx_assets.quality.held import Held, in_words
from fx_assets.schemas import Schema
from fx_assets.tables.produce import Staged
from fx_assets.tables.reader import TableReader

_TOLD = 5  # sessions that a message names


class ParquetIOManager(dg.IOManager):
    """Publishes staged partitions, writes dicts of frames by partition key; loads a TableReader where an asset asks for
    one by its annotation, else one frame over all keys.
    """

    def __init__(self, lake: Lake, schemas: Mapping[str, Schema], prefix: str = "", held: Held | None = None):
        """held: the sessions of HELD that nothing may be built on, beside those whose stamps say so."""
        self.lake = lake
        self.held = held
        self.schemas = schemas
        self.prefix = prefix

    def handle_output(self, context: dg.OutputContext, obj: Staged | dict[str, pd.DataFrame]) -> None:
        table = self.prefix + "/".join(context.asset_key.path)
        expected = list(context.asset_partition_keys)
        made = obj.partitions if isinstance(obj, Staged) else obj
        if sorted(made) != sorted(expected):
            odd = sorted(set(made) ^ set(expected))
            raise dg.DagsterInvariantViolationError(
                f"{table}: the run has {len(expected)} partitions, the frames {len(made)}; they differ in {odd[:5]}."
            )
        self.lake.sweep(table)
        if isinstance(obj, Staged):
            obj.publish()
            written = obj.size
        else:
            written = self.lake.write(table, obj)
        context.add_output_metadata({"bytes": written, "path": f"{self.lake.url}/{table}"})

    @no_retry()
    def load_input(self, context: dg.InputContext) -> TableReader | pd.DataFrame:
        table = self.prefix + "/".join(context.asset_key.path)
        own = list(context.asset_partition_keys)
        every = list(context.asset_partitions_def.get_partition_keys())
        metadata = context.definition_metadata
        keys = with_neighbours(own, every, metadata)
        stamps = self.lake.stamps(table, keys)
        self._refuse(table, own, stamps)
        self._refuse_held(table, keys)
        self._tell(context, table, keys, stamps)
        source = Input(table, metadata.get(LOOKBACK, 0), metadata.get(AHEAD, 0), metadata.get(SETTING, ""))
        schema = self.schemas.get(table) or Schema(table, "", ())
        reader = TableReader(self.lake, schema, source, every, stamps)
        return reader if context.dagster_type.typing_type is TableReader else reader.read(own)

    def _refuse(self, table: str, own: Sequence[str], stamps: Mapping[str, Stamp | None]) -> None:
        """Own sessions must be there, and good."""
        if lost := [key for key in own if key not in stamps]:
            raise MissingData(
                f"{table}: no file for session {', '.join(lost[:_TOLD])} ({len(lost)} in all). "
                f"Run `fx backfill --from {lost[0]} --to {lost[-1]}`."
            )
        bad = {key: stamp.problems for key in own if (stamp := stamps[key]) is not None and stamp.problems}
        if bad:
            first = next(iter(bad))
            raise DataError(
                f"{table}: session {', '.join(list(bad)[:_TOLD])} ({len(bad)} in all) has problems, and nothing is "
                f"built on it. {first}: {'; '.join(bad[first])}. Mend the source, fetch it again, and run "
                f"`fx backfill --from {first} --to {list(bad)[-1]}`; or leave these sessions out."
            )

    def _refuse_held(self, table: str, keys: Sequence[str]) -> None:
        """Neither own sessions nor neighbours may be held back: what is wrong with them is in the rows."""
        if self.held is not None and table == HELD and (found := self.held.sessions() & set(keys)):
            raise DataError(in_words(sorted(found)))

    def _tell(
        self, context: dg.InputContext, table: str, keys: Sequence[str], stamps: Mapping[str, Stamp | None]
    ) -> None:
        """Which neighbours are left out."""
        missing = [key for key in keys if key not in stamps]
        bad = [key for key, stamp in stamps.items() if stamp is not None and stamp.problems]
        if missing:
            context.log.info(f"{table}: outside the run's range and not there: {', '.join(missing)}")
        if bad:
            context.log.warning(f"{table}: outside the run's range and left out for problems: {', '.join(bad)}")

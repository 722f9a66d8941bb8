"""The IO manager of model records: one JSON file for each partition, for what is not a table.

<lake>/models/move_60m/trained_model/session=2022-03-02/record.json
"""

import dagster as dg
import msgspec

from fx_assets.errors import MissingData
from fx_assets.failures import no_retry
from fx_assets.lake import Lake


class RecordIOManager(dg.IOManager):
    """Writes and reads one dict for each partition; model assets run one partition at a time."""

    def __init__(self, lake: Lake, prefix: str = "models/"):
        self.lake = lake
        self.prefix = prefix

    def _where(self, context: dg.OutputContext | dg.InputContext) -> str:
        table = self.prefix + "/".join(context.asset_key.path)
        return f"{table}/session={context.asset_partition_key}/record.json"

    def handle_output(self, context: dg.OutputContext, obj: dict) -> None:
        where = self._where(context)
        self.lake.store.write(where, msgspec.json.format(msgspec.json.encode(obj), indent=2))
        context.add_output_metadata({"path": f"{self.lake.url}/{where}"})

    @no_retry()
    def load_input(self, context: dg.InputContext) -> dict:
        try:
            return msgspec.json.decode(self.lake.store.read(self._where(context)))
        except FileNotFoundError:
            name = "/".join(context.asset_key.path)
            raise MissingData(
                f"{name}: not made for session {context.asset_partition_key}. Materialize it first."
            ) from None

"""The home folder as a resource: bronze, lake and the other stores of one FX_HOME."""

from pathlib import Path

import dagster as dg

from fx_assets.bronze.files import Bronze
from fx_assets.lake import Lake
from fx_serving.client.home import Stores


class HomeResource(dg.ConfigurableResource):
    """Everything that lies below one home folder."""

    path: str

    @property
    def stores(self) -> Stores:
        return Stores(Path(self.path))

    @property
    def lake(self) -> Lake:
        return Lake(self.stores.lake)

    @property
    def bronze(self) -> Bronze:
        return Bronze(self.stores.lake)

"""The home folder as a resource: bronze, lake and the other stores of one FX_HOME."""

import os
from pathlib import Path

import dagster as dg

from fx_assets.bronze.files import Bronze
from fx_assets.errors import ConfigError
from fx_assets.lake import Lake
from fx_serving.client.clock import parse_utc
from fx_serving.client.home import Stores

# Set for the runs of `fx rollback-data`: bronze as it had been fetched by that moment.
AS_OF = "FX_BRONZE_AS_OF"


class HomeResource(dg.ConfigurableResource):
    """Everything that lies below one home folder. lake_url: where its lake is, if not there (see lake.lake_root)."""

    path: str
    lake_url: str | None = None

    @property
    def stores(self) -> Stores:
        return Stores(Path(self.path))

    @property
    def lake(self) -> Lake:
        return Lake(self.lake_url or self.stores.lake)

    @property
    def bronze(self) -> Bronze:
        """Bronze of this lake, as of FX_BRONZE_AS_OF where that is set. Raises ConfigError for what is no time."""
        return open_bronze(self.lake_url or self.stores.lake)


def open_bronze(where: Path | str) -> Bronze:
    """Bronze of a lake, as of FX_BRONZE_AS_OF where that is set. Raises ConfigError for what is no time."""
    given = os.environ.get(AS_OF, "").strip()
    try:
        return Bronze(where, parse_utc(given) if given else None)
    except ValueError as error:
        raise ConfigError(f"{AS_OF}: {error}. Mend it, or unset it to see every fetch.") from None

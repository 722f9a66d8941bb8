"""The code location `fx_monitoring`: everything is built from the configuration by `build_definitions`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.automation import table
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.lake import Lake, lake_root
from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.resources.parquet_io import ParquetIOManager
from fx_assets.resources.record_io import RecordIOManager
from fx_monitoring import assets
from fx_monitoring.alerts import sensors as alert_sensors
from fx_monitoring.assets.common import Shared
from fx_monitoring.slo import sensor as slo_sensor
from fx_serving.client.home import Stores, fx_home
from fx_serving.client.secret_sources import read_secrets


def build_definitions(
    configuration: Configuration | None = None,
    home: Path | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Definitions for a configuration and a home folder; `resources` replace the built ones by key."""
    configuration = configuration or load_configuration()
    stores = Stores(home or fx_home())
    where = lake_root(stores.home, configuration.data.storage)
    shared = Shared(fx_sessions(configuration), configuration, stores, Lake(where))
    jobs = assets.jobs(shared)
    return dg.Definitions(
        assets=assets.build(shared),
        jobs=jobs,
        schedules=table.schedules(configuration, jobs),
        sensors=[
            *assets.sensors(shared),
            *slo_sensor.build(configuration, stores),
            *alert_sensors.build(configuration, stores),
        ],
        asset_checks=[],
        resources={
            "home": HomeResource(path=str(stores.home), lake_url=str(where)),
            "parquet_monitoring": ParquetIOManager(shared.lake, {}, prefix="monitoring/"),
            "records_monitoring": RecordIOManager(shared.lake, prefix="monitoring/"),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    read_secrets()  # where Dagster's own commands load this, and not fx
    return build_definitions()

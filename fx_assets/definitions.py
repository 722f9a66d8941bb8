"""The code location `fx_assets`: everything is built from the configuration by `build_definitions`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.automation import retraining
from fx_assets.bronze import assets as bronze
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.feature_store import assets as feature_store
from fx_assets.gold import assets as gold
from fx_assets.lake import Lake
from fx_assets.models import assets as models
from fx_assets.models import checks as model_checks
from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.resources.parquet_io import ParquetIOManager
from fx_assets.resources.record_io import RecordIOManager
from fx_assets.resources.tracking import mlflow_resource
from fx_assets.schemas import build_schemas
from fx_assets.silver import assets as silver
from fx_assets.tables import Tables
from fx_serving.client.home import Stores, fx_home


def build_definitions(
    configuration: Configuration | None = None,
    home: Path | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Definitions for a configuration and a home folder; `resources` replace the built ones by key."""
    configuration = configuration or load_configuration()
    stores = Stores(home or fx_home())
    lake = Lake(stores.lake)
    tables = Tables(fx_sessions(configuration), build_schemas(configuration))
    training_jobs = retraining.jobs(configuration)
    return dg.Definitions(
        assets=[
            *bronze.build(tables, configuration),
            *silver.build(tables, configuration),
            *gold.build(tables, configuration),
            *feature_store.build(configuration),
            *models.build(tables, configuration),
        ],
        asset_checks=model_checks.build(configuration),
        resources={
            "home": HomeResource(path=str(stores.home)),
            "parquet": ParquetIOManager(lake, tables.schemas),
            "parquet_models": ParquetIOManager(lake, tables.schemas, prefix="models/"),
            "records": RecordIOManager(lake),
            "mlflow": mlflow_resource(stores.home),
            **(resources or {}),
        },
        jobs=training_jobs,
        sensors=[retraining.drift_sensor(configuration, stores, training_jobs)],
        # One machine: a process for each step would cost seconds, and a range run is one process anyway.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions()

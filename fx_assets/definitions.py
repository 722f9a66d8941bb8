"""The code location `fx_assets`: everything is built from the configuration by `build_definitions`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.archive import assets as archive
from fx_assets.automation import clean_up, environment_check, nightly, retraining, rollouts, synthetic_refresh, table
from fx_assets.automation import schedules as model_schedules
from fx_assets.bronze import assets as bronze
from fx_assets.bronze import reference_assets
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.feature_store import assets as feature_store
from fx_assets.freshness import checks as freshness_checks
from fx_assets.freshness import failed_partitions
from fx_assets.gold import assets as gold
from fx_assets.lake import Lake, lake_root
from fx_assets.live import retention as live_retention
from fx_assets.live import sensor as live
from fx_assets.live.streams import is_live
from fx_assets.models import assets as models
from fx_assets.models import checks as model_checks
from fx_assets.models.assets import batch
from fx_assets.quality.held import Held
from fx_assets.resources.compute import ComputeResource
from fx_assets.resources.home import HomeResource, open_bronze
from fx_assets.resources.parquet_io import ParquetIOManager
from fx_assets.resources.record_io import RecordIOManager
from fx_assets.resources.tracking import mlflow_resource
from fx_assets.runs.dead import dead_runs_sensor
from fx_assets.silver import assets as silver
from fx_assets.silver import news_check
from fx_assets.strategy import assets as strategy
from fx_assets.strategy import schedules as strategy_schedules
from fx_assets.tables import Tables
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
    lake = Lake(where)
    tables = Tables.of(configuration, lake)
    training_jobs = retraining.jobs(configuration)
    rollout_jobs = rollouts.jobs(configuration)
    batch_jobs = model_schedules.jobs(configuration)
    strategy_jobs = strategy_schedules.jobs(configuration)
    unmade_check, unmade_job = failed_partitions.build(configuration, tables.partitions)
    freshness_job = freshness_checks.build_job()
    news_clock, news_clock_job = news_check.build()
    champion_checks = model_checks.build(configuration)
    live_jobs = [live.build_job(configuration)] if is_live(configuration) else []
    jobs = [
        *training_jobs,
        *rollout_jobs,
        *batch_jobs,
        *strategy_jobs,
        *reference_assets.build_jobs(configuration),
        *archive.build_jobs(configuration),
        *live_jobs,
        freshness_job,
        unmade_job,
        news_clock_job,
        model_checks.build_job(champion_checks),
        nightly.build_job(),
        environment_check.build_job(),
        clean_up.build_job(),
        synthetic_refresh.build_job(),
    ]
    if configuration.data.containers.steps:
        from fx_assets.runs import containers  # dagster-docker, which nobody else needs

        jobs.append(containers.build_job())
    asks = {
        **model_schedules.asks(configuration, lake, tables.partitions),
        **strategy_schedules.asks(configuration, lake),
        **nightly.asks(configuration, lake, stores),
        **environment_check.asks(configuration, stores),
    }
    return dg.Definitions(
        assets=[
            *bronze.build(tables, configuration),
            *reference_assets.build(configuration),
            archive.build(configuration),
            *silver.build(tables, configuration),
            *gold.build(tables, configuration),
            *feature_store.build(configuration),
            *models.build(tables, configuration),
            *batch.build(configuration),
            *strategy.build(tables, configuration),
            environment_check.build(configuration),
            clean_up.build(configuration),
            synthetic_refresh.build(configuration),
        ],
        asset_checks=[
            *feature_store.build_checks(configuration),
            *champion_checks,
            *freshness_checks.build(configuration),
            unmade_check,
            news_clock,
        ],
        resources={
            "home": HomeResource(path=str(stores.home), lake_url=str(where)),
            "parquet": ParquetIOManager(
                lake, tables.schemas, held=Held(stores.home, open_bronze(where), configuration)
            ),
            "parquet_models": ParquetIOManager(lake, tables.schemas, prefix="models/"),
            "records": RecordIOManager(lake),
            "compute": ComputeResource(**configuration.data.compute.model_dump()),
            "mlflow": mlflow_resource(stores.home),
            **(resources or {}),
        },
        jobs=jobs,
        schedules=table.schedules(configuration, jobs, asks),
        sensors=[
            retraining.drift_sensor(configuration, stores, training_jobs),
            *rollouts.sensors(configuration, stores, rollout_jobs),
            dead_runs_sensor(configuration),
            *(live.build_sensor(configuration, stores, job) for job in live_jobs),
            *(live_retention.build_sensor(configuration) for _ in live_jobs),
        ],
        # One machine: a process for each step would cost seconds, and a range run is one process anyway.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    read_secrets()  # where Dagster's own commands load this, and not fx
    return build_definitions()

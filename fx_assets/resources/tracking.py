"""MLflow for runs: dagster-mlflow's resource, loaded only when a run needs it (its import alone takes seconds).

The resource opens one MLflow run for each Dagster run and closes it when the run's resources are torn down, which
the in-process executor does on success and on failure alike. Each model and session logs to a nested run of its
own, so that several of them may share a Dagster run.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.errors import StoreError
from fx_serving.client.state_address import StateAddressError, connect, require_postgres, words

EXPERIMENT = "fx"
VARIABLE = "FX_MLFLOW_URL"
_TABLES_S = 120  # to make or migrate them


def database() -> str | None:
    """The address of the PostgreSQL that keeps runs and registered models; None where a file of the home does.

    Raises StoreError where it is no such address. It may hold a password: never log it.
    """
    try:
        return require_postgres(address, VARIABLE) if (address := os.environ.get(VARIABLE, "").strip()) else None
    except StateAddressError as error:
        raise StoreError(f"{error}.") from None


def database_file(home: Path) -> Path:
    """Where a home keeps runs and registered models without such an address."""
    return home / "mlflow" / "mlflow.db"


def tracking_uri(home: Path) -> str:
    """The tracking and registry database of a home, for SQLAlchemy. Raises StoreError."""
    return database() or f"sqlite:///{database_file(home)}"


def prepare(home: Path) -> str:
    """Point MLflow at a home's database; artifacts are files of the home. Returns the tracking URI."""
    import logging

    import mlflow

    uri, folder = tracking_uri(home), home / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _alone():
        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    return uri


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time makes the tables in a PostgreSQL, and one that does not answer is said at once.

    MLflow itself would try for minutes to reach it. Raises StoreError.
    """
    address = database()
    if address is None:
        yield
        return
    try:
        connection = connect(address, statement_s=_TABLES_S, variable=VARIABLE)
    except StateAddressError as error:
        raise StoreError(f"{error}.") from None
    from psycopg2 import Error

    with closing(connection), connection.cursor() as cursor:
        try:
            cursor.execute("SET lock_timeout TO 0")  # the whole statement has a limit
            cursor.execute("SELECT pg_advisory_lock(hashtext('fx.mlflow'))")
        except Error as error:
            raise StoreError(f"{VARIABLE}: another process keeps MLflow's tables: {words(error)}. Try again.") from None
        yield


def _failed(context: dg.InitResourceContext) -> bool:
    """Whether a step of this run has failed: resources are torn down alike either way."""
    if context.instance is None or context.run is None:
        return False
    return bool(context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE))


def mlflow_resource(home: Path) -> dg.ResourceDefinition:
    """The lazy stand-in for `dagster_mlflow.mlflow_tracking`, configured for a home."""

    @dg.resource(description="dagster-mlflow's mlflow_tracking, imported when a run first needs it")
    def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
        from dagster_mlflow import mlflow_tracking

        config = {
            "experiment_name": EXPERIMENT,
            "mlflow_tracking_uri": prepare(home),
            "env": {},
            "extra_tags": {},
        }
        start: Any = mlflow_tracking.resource_fn  # its type does not tell that it takes the context
        run = start(context.replace_config(config))
        tracker = next(run)
        try:
            yield tracker
        except BaseException:
            tracker.end_run(status="FAILED")
            raise
        else:
            tracker.end_run(status="FAILED" if _failed(context) else "FINISHED")

    return mlflow

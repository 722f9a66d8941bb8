"""MLflow for runs: dagster-mlflow's resource, loaded only when a run needs it (its import alone takes seconds).

The resource opens one MLflow run for each Dagster run and closes it when the run's resources are torn down, which
the in-process executor does on success and on failure alike. Each model and session logs to a nested run of its
own, so that several of them may share a Dagster run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

EXPERIMENT = "fx"


def tracking_uri(home: Path) -> str:
    """The tracking and registry database of a home."""
    return f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"


def prepare(home: Path) -> str:
    """Point MLflow at a home's database, with artifacts beside it; returns the tracking URI."""
    import logging

    import mlflow

    folder = home / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    uri = tracking_uri(home)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    return uri


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

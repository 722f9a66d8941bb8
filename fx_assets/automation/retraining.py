"""Drift -> retraining: the jobs that train a model, and the sensor that requests one when drift is critical.

The sensor reads the drift status files that the monitoring location writes; the two meet in that store, not in
code. A person starts the same job.
"""

from typing import Any

import dagster as dg
import msgspec

from fx_assets.configuration import Configuration
from fx_serving.client.home import Stores

TRAINING_STEPS = (
    "training_set",
    "model_study",
    "trained_model",
    "model_evaluation",
    "promotion_decision",
    "promoted_model",
    "model_bundle",
)
INTERVAL_S = 10


def job_name(model: str) -> str:
    """The job that trains, judges and exports one model for one session."""
    return f"train_{model}"


def jobs(configuration: Configuration) -> list[Any]:
    """One training job for each model; the rollout of what it promotes is a step of its own."""
    return [
        dg.define_asset_job(
            job_name(model),
            selection=[dg.AssetKey([model, step]) for step in TRAINING_STEPS if entry.deploy or step != "model_bundle"],
            description=f"Train, judge and export {model} for one session.",
        )
        for model, entry in configuration.models.models.items()
    ]


def drift_sensor(configuration: Configuration, stores: Stores, training_jobs: list[Any]) -> dg.SensorDefinition:
    """Requests one retraining for each report that calls a model's drift critical."""
    models = list(configuration.models.models)

    @dg.sensor(
        name="retrain_on_drift",
        jobs=training_jobs,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests retraining of a model when its newest drift report is critical.",
    )
    def retrain_on_drift(context: dg.SensorEvaluationContext):
        requests, seen = [], []
        for model in models:
            status = _status(stores, model)
            if status is None:
                continue
            seen.append(f"{model} {status['session']}: {status['level']}")
            if status["level"] == "critical":
                requests.append(
                    dg.RunRequest(
                        # Run keys are remembered for ever: the report's id makes each verdict ask exactly once.
                        run_key=f"drift-{status['report_id']}",
                        job_name=job_name(model),
                        partition_key=status["session"],
                        tags={
                            "fx/reason": "drift",
                            "fx/drift_report": status["report_id"],
                            "fx/max_psi": f"{status['max_psi']:.4f}",
                        },
                    )
                )
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason("; ".join(seen) if seen else "no drift report yet")

    return retrain_on_drift


def _status(stores: Stores, model: str) -> dict | None:
    try:
        return msgspec.json.decode((stores.drift / f"{model}.json").read_bytes())
    except FileNotFoundError:
        return None

"""Drift -> retraining: the jobs that train a model, and the sensor that requests one when a drift report asks for it.

The sensor reads the drift status files that the monitoring location writes; the two meet in that store, not in
code. Whether drift asks for retraining is decided there; here it is seen to that one verdict asks once, that a failed
training is tried again a few times, and that a day holds only so many. A person starts the same job.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration
from fx_serving.client.files import DamagedFile, read_json
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
SENSOR = "retrain_on_drift"
ASKS = "retrain"
REASON, VERDICT = "fx/reason", "fx/drift_verdict"
#: Of a status file that does not state them.
LIMITS = {"attempts": 3, "retry_minutes": 10, "per_day": 3}
DAY = timedelta(days=1)
UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
#: Retrainings of a day that are looked at: far more than any limit.
_MOST = 200


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
    """Requests one retraining for each verdict whose action is `retrain`."""
    models = list(configuration.models.models)

    @dg.sensor(
        **sensor_options(configuration, SENSOR),
        jobs=training_jobs,
        description="Requests retraining of a model when its newest drift report asks for it.",
    )
    def retrain_on_drift(context: dg.SensorEvaluationContext):
        requests, said = [], []
        today: set[str] | None = None
        for model in models:
            try:
                status = _status(stores, model)
            except DamagedFile as error:
                said.append(str(error))
                continue
            if status is None:
                continue
            action = status.get("action", "none")
            if action != ASKS:
                said.append(f"{model} {status['session']}: {action} ({status['level']})")
                continue
            limits = LIMITS | (status.get("limits") or {})
            verdict = status["decision"]["verdict"]
            attempt, why = _attempt(context.instance, model, verdict, limits)
            if not attempt:
                said.append(f"{model} {status['session']}: {why}")
                continue
            today = _verdicts_today(context.instance) if today is None else today
            if len(today - {verdict}) >= limits["per_day"]:
                said.append(f"{model} {status['session']}: {len(today)} retrainings in 24 hours are the most")
                continue
            today.add(verdict)
            requests.append(_request(model, status, verdict, attempt))
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason("; ".join(said) if said else "no drift report yet")

    return retrain_on_drift


def _status(stores: Stores, model: str) -> dict[str, Any] | None:
    """The newest drift status; None without one. Raises DamagedFile."""
    path, remedy = stores.drift / f"{model}.json", "It is rewritten by the next run of the job drift."
    status = read_json(path, remedy)
    if status is None:
        return None
    needed = {"session", "level", *(("decision", "report_id", "max_psi") if status.get("action") == ASKS else ())}
    if gone := sorted(needed - status.keys()):
        raise DamagedFile(f"{path}: {', '.join(gone)}: missing. {remedy}")
    return status


def _request(model: str, status: Mapping[str, Any], verdict: str, attempt: int) -> dg.RunRequest:
    """Run keys are remembered for ever: the verdict and the attempt make each ask exactly once."""
    return dg.RunRequest(
        run_key=f"drift-{verdict}-{attempt}",
        job_name=job_name(model),
        partition_key=status["session"],
        tags={
            REASON: "drift",
            VERDICT: verdict,
            "fx/drift_report": status["report_id"],
            "fx/attempt": str(attempt),
            "fx/max_psi": "unknown" if status["max_psi"] is None else f"{status['max_psi']:.4f}",
        },
    )


def _attempt(
    instance: dg.DagsterInstance, model: str, verdict: str, limits: Mapping[str, float]
) -> tuple[int, str | None]:
    """Which attempt is due, or 0 and why none is."""
    tried = instance.get_run_records(dg.RunsFilter(tags={VERDICT: verdict}), limit=_MOST)
    failed = [r for r in tried if r.dagster_run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)]
    if len(failed) < len(tried):
        return 0, f"{verdict} was asked for"
    if len(failed) >= limits["attempts"]:
        return 0, f"{len(failed)} runs for {verdict} failed; start {job_name(model)} yourself"
    if failed:
        ended = max(record.end_time or record.update_timestamp.timestamp() for record in failed)
        due = datetime.fromtimestamp(ended, UTC) + timedelta(minutes=limits["retry_minutes"] * len(failed))
        if datetime.now(UTC) < due:
            return 0, f"attempt {len(failed)} for {verdict} failed; the next one is due at {due:%H:%M} UTC"
    under_way = dg.RunsFilter(job_name=job_name(model), statuses=UNDER_WAY)
    if instance.get_runs_count(under_way):
        return 0, f"a run of {job_name(model)} is under way"
    return len(failed) + 1, None


def _verdicts_today(instance: dg.DagsterInstance) -> set[str]:
    """The verdicts of all models that runs were launched for in the last 24 hours."""
    wanted = dg.RunsFilter(tags={REASON: "drift"}, created_after=datetime.now(UTC) - DAY)
    return {record.dagster_run.tags.get(VERDICT, "") for record in instance.get_run_records(wanted, limit=_MOST)}

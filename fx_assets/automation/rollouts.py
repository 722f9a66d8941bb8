"""Rollouts as Dagster sees them: jobs that ask for one, a sensor that asks by itself, and one that reports the ends.

A rollout lasts hours and is the deployment service's business; no run waits for it. `follow_rollouts` records how each
ended as an observation and as the check `rolled_out` of the model's deployment, once; and once more where a version
that was deployed is taken back.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration
from fx_assets.models.assets.release import ROLLED_OUT
from fx_assets.models.rollout import deploys, service_url, step_table
from fx_serving.client.bundle import BundleError, Manifest, read_manifest
from fx_serving.client.environment import blocked
from fx_serving.client.home import Stores
from fx_serving.client.http import FINISHED, ServiceError, ServiceUnreachable, ServingClient

# The deployment asset records "it runs" after the service has begun: an end within that moment must come second.
SETTLED_S = 5.0
ATTEMPTS = 3
TAG = "fx/rollout"
GOOD_ENDS = frozenset({"succeeded", "concluded"})


def job_name(model: str) -> str:
    """The job that asks the service to roll out a session's bundle."""
    return f"roll_out_{model}"


def _deployed_models(configuration: Configuration) -> list[str]:
    return [model for model, entry in configuration.models.models.items() if entry.deploy]


def jobs(configuration: Configuration) -> list[Any]:
    """One job for each model that is deployed."""
    return [
        dg.define_asset_job(
            job_name(model),
            selection=[dg.AssetKey([model, "deployment"])],
            description=f"Ask the deployment service to roll out the bundle of {model} of one session.",
        )
        for model in _deployed_models(configuration)
    ]


def sensors(configuration: Configuration, stores: Stores, rollout_jobs: list[Any]) -> list[dg.SensorDefinition]:
    """follow_rollouts; and roll_out_promoted where anything is deployed at all."""
    models = _deployed_models(configuration)
    asking = [_asking_sensor(configuration, models, stores, rollout_jobs)] if rollout_jobs else []
    return [_following_sensor(configuration, models, stores), *asking]


# ---- reporting ends -----------------------------------------------------------------------------------------------


def _following_sensor(configuration: Configuration, models: list[str], stores: Stores) -> dg.SensorDefinition:
    @dg.sensor(
        **sensor_options(configuration, "follow_rollouts"),
        description="Reports how each rollout ended: the check rolled_out and an observation with its steps.",
    )
    def follow_rollouts(context: dg.SensorEvaluationContext):
        reported = set(json.loads(context.cursor or "[]"))
        try:
            with ServingClient(service_url(stores)) as client:
                listed = [found for found in client.rollouts() if found["model"] in models]
                ended = [found for found in listed if _has_settled(found) and _mark(found) not in reported]
                ended = [client.rollout(found["id"]) for found in sorted(ended, key=lambda r: r["finished_at"])]
        except ServiceUnreachable:
            return dg.SkipReason("the deployment service does not answer; what ends meanwhile is reported later")
        except ServiceError as error:
            return dg.SkipReason(f"the deployment service refuses: {error}")
        running = [f"{r['model']} version {r['version']}: {r['state']}" for r in listed if r["state"] not in FINISHED]
        if not ended:
            return dg.SkipReason("; ".join(running) or "no rollout is running")
        known = {_mark(found) for found in listed}
        return dg.SensorResult(
            asset_events=[event for found in ended for event in events(found)],
            cursor=json.dumps(sorted((reported & known) | {_mark(found) for found in ended})),
        )

    return follow_rollouts


def _mark(found: Mapping[str, Any]) -> str:
    """What the cursor notes of an end: a rollout that succeeded can still be taken back, which is another end."""
    return f"{found['id']} {found['state']}"


def _has_settled(found: Mapping[str, Any]) -> bool:
    if found["state"] not in FINISHED or not found["finished_at"]:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(found["finished_at"])
    return age.total_seconds() >= SETTLED_S


def events(found: Mapping[str, Any]) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
    """What Dagster records of a finished rollout."""
    key = dg.AssetKey([found["model"], "deployment"])
    reason = found.get("reason") or ""
    metadata = {
        "rollout_id": found["id"],
        "version": found["version"],
        "from_version": found.get("from_version") or "none",
        "state": found["state"],
        "reason": reason,
    }
    yield dg.AssetObservation(
        key,
        description=f"rollout of version {found['version']}: {found['state']}",
        metadata={**metadata, "steps": dg.MetadataValue.md(step_table(found))},
    )
    yield dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=ROLLED_OUT,
        passed=found["state"] in GOOD_ENDS,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"version {found['version']}: {found['state']}. {reason}".strip(),
        metadata=metadata,
    )


# ---- asking -------------------------------------------------------------------------------------------------------


def _asking_sensor(
    configuration: Configuration, models: list[str], stores: Stores, rollout_jobs: list[Any]
) -> dg.SensorDefinition:
    @dg.sensor(
        **sensor_options(configuration, "roll_out_promoted"),
        jobs=rollout_jobs,
        description="Asks for the rollout of each promoted version that has a newer bundle than what is deployed.",
    )
    def roll_out_promoted(context: dg.SensorEvaluationContext):
        if why := blocked(stores):
            return dg.SkipReason(why)
        try:
            with ServingClient(service_url(stores)) as client:
                routes, rollouts = client.traffic()["models"], client.rollouts()
        except ServiceError as error:
            return dg.SkipReason(f"the deployment service does not answer: {error}")
        requests, said = [], []
        for model in models:
            tried = {found["version"] for found in rollouts if found["model"] == model and deploys(found)}
            deployed = ((routes.get(model) or {}).get("blue") or {}).get("version")
            newest = newest_bundle(stores, model)
            why = _why_not(newest, deployed, tried)
            if newest is None or why:
                said.append(f"{model}: {why}")
                continue
            failed = _failures(context.instance, newest)
            if failed >= ATTEMPTS:
                said.append(
                    f"{model}: {failed} runs for version {newest.version} failed; start {job_name(model)} yourself"
                )
                continue
            requests.append(
                dg.RunRequest(
                    run_key=f"rollout-{model}-{newest.version}-{failed + 1}",
                    job_name=job_name(model),
                    partition_key=newest.lineage["session"],
                    tags={TAG: f"{model}:{newest.version}", "fx/reason": "promoted"},
                )
            )
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("; ".join(said))

    return roll_out_promoted


def newest_bundle(stores: Stores, model: str) -> Manifest | None:
    """The manifest of the bundle that was made last; None without one."""
    folder = stores.bundles / model
    found = []
    for place in folder.iterdir() if folder.is_dir() else ():
        try:
            if not place.name.startswith("."):
                found.append(read_manifest(place))
        except BundleError:
            continue  # the service names what is wrong with it when it is asked to load it
    return max(found, key=lambda manifest: manifest.created_at, default=None)


def _why_not(newest: Manifest | None, deployed: str | None, tried: set[str]) -> str | None:
    if newest is None:
        return "no bundle yet"
    if newest.version == deployed:
        return f"version {deployed} is deployed and the newest"
    if newest.version in tried:
        return f"version {newest.version} had its rollout"
    if "session" not in newest.lineage:
        return f"version {newest.version} was not exported by the training run of a session"
    return None


def _failures(instance: dg.DagsterInstance, manifest: Manifest) -> int:
    wanted = dg.RunsFilter(
        tags={TAG: f"{manifest.model}:{manifest.version}"},
        statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
    )
    return instance.get_runs_count(wanted)

"""Releasing an approved model: promoted_model, and for a deployed one model_bundle and deployment."""

import uuid
from collections.abc import Sequence

import dagster as dg
import pandas as pd

from fx_assets.models import bundle, champion, promotion, rollout
from fx_assets.models.assets.shared import Group
from fx_assets.resources.home import HomeResource
from fx_assets.tables import define_asset
from fx_serving.client.environment import blocked

ROLLED_OUT = "rolled_out"
RETRIED = "dagster/retry_number"  # a tag that Dagster gives the runs it starts for failed ones


def build(group: Group) -> Sequence[dg.AssetsDefinition]:
    """The assets of one model, in their order; bundle and deployment only where the entry says `deploy: true`."""
    assets = [_promoted_model(group)]
    return [*assets, _model_bundle(group), _deployment(group)] if group.entry.deploy else assets


def _promoted_model(group: Group) -> dg.AssetsDefinition:
    model, entry = group.model, group.entry

    @define_asset(
        ins={"verdict": group.upstream("promotion_decision")},
        output_required=False,
        **group.common(
            "promoted_model",
            {"mlflow"},
            "The registry's champion. Not made when the gates rejected the model.",
        ),
    )
    def promoted_model(context: dg.AssetExecutionContext, home: HomeResource, verdict: dict):
        if not verdict["approved"]:
            context.log.warning(
                f"{model} version {verdict['version']} is rejected: missed {', '.join(verdict['missed'])}"
            )
            return
        try:
            change = promotion.promote(
                home.stores,
                model,
                verdict["version"],
                reason=f"passed every gate of profile {entry.gates}, session {verdict['session']}",
                actor=f"dagster run {context.run.run_id}",
                expected=verdict["champion"],
            )
        except promotion.ExpiredError as error:
            # A walk-forward backfill makes versions of sessions long past: they are judged, and serve nobody.
            context.log.warning(str(error))
            return
        except (promotion.ConflictError, promotion.RefusedError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.Output(
            {
                "model": model,
                "version": verdict["version"],
                "previous": change.previous,
                "session": verdict["session"],
            },
            metadata={
                "version": verdict["version"],
                "reason": change.reason,
                "actor": change.actor,
                "champions": dg.MetadataValue.md(
                    "| champion | version |\n| --- | --- |\n"
                    f"| before | {change.previous} |\n| now | {verdict['version']} |"
                ),
            },
        )

    return promoted_model


def _model_bundle(group: Group) -> dg.AssetsDefinition:
    model, configuration = group.model, group.configuration

    @define_asset(
        ins={"promoted": group.upstream("promoted_model"), "rows": group.upstream("training_set")},
        **group.common("model_bundle", {"onnx"}, "The champion as the service loads it: ONNX, manifest, golden rows."),
        **group.checks(
            "model_bundle",
            ("manifest", "Manifest, hashes and features are what the service will verify.", True),
        ),
    )
    def model_bundle(context: dg.AssetExecutionContext, home: HomeResource, promoted: dict, rows: pd.DataFrame):
        made = champion.load_version(home.stores, model, promoted["version"])
        folder = bundle.export(home.stores.bundles, configuration, made, rows)
        problems = bundle.problems(folder, configuration, made)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        return dg.MaterializeResult(
            value={"model": model, "version": promoted["version"], "path": str(folder)},
            metadata={
                "path": str(folder),
                "files": dg.MetadataValue.md(
                    "\n".join(["| file | bytes |", "| --- | --- |", *(f"| {n} | {s} |" for n, s in files.items())])
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="manifest", passed=not problems, metadata={"problems": problems or ["none"]}
                )
            ],
        )

    return model_bundle


def _deployment(group: Group) -> dg.AssetsDefinition:
    model, entry = group.model, group.entry

    @define_asset(
        ins={"made": group.upstream("model_bundle")},
        **group.common(
            "deployment",
            {"fastapi"},
            "The rollout of the bundle by the deployment service; the sensor follow_rollouts reports how it ends.",
        ),
        **group.checks(
            "deployment",
            (
                ROLLED_OUT,
                "The service finished the rollout; a rollback is recorded with its reason. A warning while it runs.",
                False,
            ),
        ),
    )
    def deployment(context: dg.AssetExecutionContext, home: HomeResource, made: dict):
        if why := blocked(home.stores):
            raise dg.Failure(why, allow_retries=False)
        try:
            asked = request_id(context.run, model, made["version"])
            started = rollout.ask_for_rollout(home.stores, model, made["version"], entry.rollout, asked)
        except (rollout.NoService, rollout.ServiceError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        # Ended already: it was another run that asked, and died before it could record so.
        ended = started["state"] in rollout.FINISHED
        said = f"{started['state']}: {started['reason']}" if ended else "The rollout runs"
        return dg.MaterializeResult(
            value=started,
            metadata={"rollout_id": started["id"], "version": made["version"], "state": started["state"]},
            check_results=[
                dg.AssetCheckResult(
                    check_name=ROLLED_OUT,
                    passed=started["state"] == "succeeded",
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"{said}; the sensor follow_rollouts reports its outcome here.",
                    metadata={"state": started["state"], "rollout_id": started["id"]},
                )
            ],
        )

    return deployment


def request_id(run: dg.DagsterRun, model: str, version: str) -> str:
    """Of the request for a rollout: one for run and version, and the same length whatever the model is called.

    An automatic retry asks as the run it repeats, so that a version which was taken back meanwhile does not get traffic
    again by itself. A run that a person starts anew is a new request.
    """
    asking = run.root_run_id if run.root_run_id and RETRIED in run.tags else run.run_id
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{asking}-{model}-{version}").hex

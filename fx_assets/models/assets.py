"""One group of assets for each entry of models.yaml, partitioned by session:

training_set -> trained_model -> model_evaluation -> promotion_decision -> promoted_model -> model_bundle -> deployment

`trained_model` of session S sees only rows decided before S began, so that backfilling a range is a walk-forward
study. A rejected model ends at `promotion_decision`, keeps its report, and leaves champion and service alone.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration, Model
from fx_assets.evaluation.gates import lookup
from fx_assets.feature_store.repository import open_store
from fx_assets.feature_store.services import service_features, service_for, service_of
from fx_assets.freshness.policies import weekend
from fx_assets.models import bundle, champion, decision, registry, report, rollout, train, training_set
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import HEAVY
from fx_assets.schemas import content_hash, model_features
from fx_assets.sessions import session_bounds
from fx_assets.tables import CODE_VERSION, OWNER, Tables, define_asset


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The asset groups of all models."""
    return [
        asset
        for name, entry in configuration.models.models.items()
        for asset in _group(tables, configuration, name, entry)
    ]


def _group(tables: Tables, configuration: Configuration, model: str, entry: Model) -> Sequence[dg.AssetsDefinition]:
    keys = list(tables.partitions.get_partition_keys()) if configuration.instruments.sessions.end else None

    names = training_set.features(configuration, model)

    def sessions() -> list[str]:
        return keys or list(tables.partitions.get_partition_keys())

    def common(name: str, kinds: set[str], description: str, **extra: Any) -> dict[str, Any]:
        return {
            "key": [model, name],
            "group_name": model,
            "description": description,
            "owners": [OWNER],
            "tags": {"layer": "model", "model": model},
            "kinds": kinds,
            "code_version": CODE_VERSION,
            "partitions_def": tables.partitions,
            # One session a run: each logs its own MLflow run and may end in a rollout of its own.
            "backfill_policy": dg.BackfillPolicy.multi_run(1),
            "freshness_policy": weekend,
            "io_manager_key": "records",
            **extra,
        }

    def check(name: str, asset: str, description: str, blocking: bool = False) -> dict[str, Any]:
        return {
            "check_specs": [dg.AssetCheckSpec(name, asset=[model, asset], description=description, blocking=blocking)]
        }

    def upstream(name: str) -> dg.AssetIn:
        return dg.AssetIn([model, name])

    @define_asset(
        deps=[
            # Session to session, as every edge: which sessions before it are read is training.sessions.
            ["gold", "features"],
            ["gold", "labels"],
            "feature_registry",
        ],
        **{
            **common(
                "training_set",
                {"feast", "parquet"},
                "Labels decided before the session, with features as of each decision.",
                pool=HEAVY,
            ),
            "io_manager_key": "parquet_models",
        },
        **check("only_the_past", "training_set", "No label was decided after the session began.", blocking=True),
    )
    def training_set_(context: dg.AssetExecutionContext, home: HomeResource):
        session = context.partition_key
        store = open_store(home.stores.home, configuration)
        rows = training_set.build(store, home.lake, configuration, model, session, sessions())
        start = pd.Timestamp(session_bounds(session)[0])
        late = int((rows["label_end"] > start).sum() + (rows["decision_time"] >= rows["label_end"]).sum())
        by_instrument = rows.groupby("instrument")["label"].agg(["size", "mean"])
        table = "\n".join(
            f"| {symbol} | {int(r['size'])} | {r['mean']:.4f} |" for symbol, r in by_instrument.iterrows()
        )
        return dg.MaterializeResult(
            value={session: rows},
            data_version=dg.DataVersion(content_hash(rows)),
            metadata={
                "dagster/row_count": len(rows),
                "features": len(names),
                "feature_service": service_for(store, model, model_features(configuration, model)),
                "base_rate": float(rows["label"].mean()),
                "first_decision": str(rows["decision_time"].iloc[0]),
                "last_label_end": str(rows["label_end"].max()),
                "instruments": dg.MetadataValue.md("| instrument | rows | base rate |\n| --- | --- | --- |\n" + table),
            },
            check_results=[
                dg.AssetCheckResult(check_name="only_the_past", passed=late == 0, metadata={"late_rows": late})
            ],
        )

    @define_asset(
        ins={"rows": upstream("training_set")},
        **common(
            "trained_model",
            {"xgboost", "mlflow"},
            "The chosen candidate, fitted on the whole training set and registered.",
            pool=HEAVY,
        ),
        **check(
            "leak_canary",
            "trained_model",
            "Shuffled labels cannot be predicted: their AUC is 0.5 within its error.",
            blocking=True,
        ),
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        mlflow: dg.ResourceParam[Any],
        rows: pd.DataFrame,
    ):
        session = context.partition_key
        spreads = train.half_spreads(configuration, rows, home.lake, session)
        found = train.study(rows, names, entry, spreads, context.log.info)
        tags = {"dagster_run_id": context.run.run_id, "code_version": CODE_VERSION}
        record = train.fit_and_log(mlflow, model, entry, session, rows, names, found, tags)
        predictions = home.lake.path(f"models/{model}/out_of_fold", session)
        home.lake.write(f"models/{model}/out_of_fold", {session: found.predictions})
        canary = decision.no_leak(found.figures)
        return dg.MaterializeResult(
            value={**record, "figures": found.figures},
            data_version=dg.DataVersion(record["booster_sha256"]),
            metadata={
                "version": record["version"],
                "candidate": found.chosen["name"],
                "rows": record["rows"],
                "mlflow_run_id": record["mlflow_run_id"],
                "out_of_fold": str(predictions),
                "candidates": dg.MetadataValue.md(report.candidate_table(found.figures)),
            },
            check_results=[
                dg.AssetCheckResult(check_name="leak_canary", passed=canary.passed, metadata={"reason": canary.reason})
            ],
        )

    @define_asset(
        ins={"record": upstream("trained_model")},
        **common(
            "model_evaluation",
            {"python"},
            "The honest study: every figure with its interval, every fold, the baselines.",
        ),
        **check(
            "beats_baselines",
            "model_evaluation",
            "AUC above the best naive baseline at the lower 95 % bound.",
        ),
    )
    def model_evaluation(context: dg.AssetExecutionContext, home: HomeResource, record: dict):
        figures = record["figures"]
        predictions = home.lake.read(f"models/{model}/out_of_fold", [context.partition_key])[context.partition_key]
        above = figures["auc_vs_baseline"]
        return dg.MaterializeResult(
            value=figures,
            metadata={
                "summary": dg.MetadataValue.md(report.summary_table(figures)),
                "folds": dg.MetadataValue.md(report.fold_table(figures)),
                "auc": figures["auc"]["value"],
                "calibration": embed(lambda axes: report.draw_calibration(axes, predictions)),
                "auc_by_fold": embed(lambda axes: report.draw_folds(axes, figures)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="beats_baselines",
                    passed=lookup(figures, "auc_vs_baseline.low") > 0,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"baseline": figures["baseline"], **above},
                )
            ],
        )

    @define_asset(
        ins={"record": upstream("trained_model"), "figures": upstream("model_evaluation")},
        **common(
            "promotion_decision",
            {"python"},
            f"Every gate of the profile '{entry.gates}', and the comparison with the champion.",
        ),
        **check(
            "gates",
            "promotion_decision",
            "Every gate was passed. A miss rejects the model; that is a normal outcome.",
        ),
    )
    def promotion_decision(context: dg.AssetExecutionContext, home: HomeResource, record: dict, figures: dict):
        against = champion.against_champion(home.stores, model, context.partition_key)
        verdict = decision.decide(configuration.gates[entry.gates], figures, *against)
        client = registry.open_registry(home.stores.home)
        tags = {
            "gates": "approved" if verdict["approved"] else "rejected",
            "gates_missed": ",".join(verdict["missed"]),
        }
        registry.set_version_tags(client, model, record["version"], tags)
        return dg.MaterializeResult(
            value={
                **verdict,
                "model": model,
                "version": record["version"],
                "session": record["session"],
                "profile": entry.gates,
            },
            metadata={
                "verdict": tags["gates"],
                "version": record["version"],
                "gates": dg.MetadataValue.md(decision.gate_table(verdict)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="gates",
                    passed=verdict["approved"],
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"missed": verdict["missed"] or ["none"]},
                )
            ],
        )

    @define_asset(
        ins={"verdict": upstream("promotion_decision")},
        output_required=False,
        **common(
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
        client = registry.open_registry(home.stores.home)
        previous = registry.version_with_alias(client, model, registry.CHAMPION)
        client.set_registered_model_alias(model, registry.CHAMPION, verdict["version"])
        yield dg.Output(
            {
                "model": model,
                "version": verdict["version"],
                "previous": previous,
                "session": verdict["session"],
            },
            metadata={
                "version": verdict["version"],
                "champions": dg.MetadataValue.md(
                    f"| champion | version |\n| --- | --- |\n| before | {previous} |\n| now | {verdict['version']} |"
                ),
            },
        )

    @define_asset(
        ins={
            "promoted": upstream("promoted_model"),
            "record": upstream("trained_model"),
            "rows": upstream("training_set"),
        },
        **common("model_bundle", {"onnx"}, "The champion as the service loads it: ONNX, manifest, golden rows."),
        **check("manifest", "model_bundle", "Manifest, hashes and features are what the service will verify.", True),
    )
    def model_bundle(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        promoted: dict,
        record: dict,
        rows: pd.DataFrame,
    ):
        booster = champion.registered_booster(home.stores, record)
        store = open_store(home.stores.home, configuration)
        service = service_of(store, model, record["version"], booster.feature_names or [])
        lineage = {
            "session": record["session"],
            "dagster_run_id": context.run.run_id,
            "mlflow_run_id": record["mlflow_run_id"],
            "training_set_hash": record["training_set_hash"],
            "booster_sha256": record["booster_sha256"],
            "feature_service": service,
        }
        # The version's own, not this run's: a model must not be scored with features that mean something else.
        trained = registry.version_tags(registry.open_registry(home.stores.home), model, record["version"])
        if "code_version" in trained:
            lineage["code_version"] = trained["code_version"]
        inputs = service_features(store, service)
        folder = bundle.export(home.stores.bundles, configuration, record, booster, rows, lineage, inputs)
        problems = bundle.problems(folder, configuration, record, inputs)
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

    @define_asset(
        ins={"made": upstream("model_bundle")},
        **common("deployment", {"fastapi"}, "The rollout of the bundle by the deployment service, and its outcome."),
        **check(
            "rolled_out",
            "deployment",
            "The service finished the rollout; a rollback is recorded with its reason.",
        ),
    )
    def deployment(context: dg.AssetExecutionContext, home: HomeResource, made: dict):
        try:
            outcome = rollout.roll_out(
                home.stores,
                model,
                made["version"],
                entry.rollout,
                lambda r: context.log.info(f"{r['state']} at {r['weight']} %"),
            )
        except (rollout.NoService, rollout.ServiceError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        return dg.MaterializeResult(
            value=outcome,
            metadata={
                "rollout_id": outcome["id"],
                "state": outcome["state"],
                "reason": outcome.get("reason") or "",
                "steps": dg.MetadataValue.md(rollout.step_table(outcome)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="rolled_out",
                    passed=outcome["state"] == "succeeded",
                    metadata={"state": outcome["state"], "reason": outcome.get("reason") or ""},
                )
            ],
        )

    group = [training_set_, trained_model, model_evaluation, promotion_decision, promoted_model]
    return [*group, model_bundle, deployment] if entry.deploy else group

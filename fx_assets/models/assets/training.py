"""From gold tables to a registered version: training_set, model_study, trained_model."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import msgspec
import pandas as pd

from fx_assets.configuration.labels import LAST_SIGN
from fx_assets.evaluation.canaries import leak_canary
from fx_assets.feature_store.repository import open_store
from fx_assets.feature_store.services import service_for
from fx_assets.models import as_of, champion, report, search, train, training_set
from fx_assets.models.assets.shared import Group
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import HEAVY
from fx_assets.schemas import content_hash, model_features
from fx_assets.sessions import session_bounds
from fx_assets.tables import CODE_VERSION, define_asset


def build(group: Group) -> Sequence[dg.AssetsDefinition]:
    """The three assets of one model, in their order."""
    return [_training_set(group), _model_study(group), _trained_model(group)]


def _training_set(group: Group) -> dg.AssetsDefinition:
    model, configuration, label = group.model, group.configuration, group.entry.label
    followed = [[label.primary, "model_study"]] if label.kind == "meta" and label.primary != LAST_SIGN else []

    @define_asset(
        deps=[
            # Session to session, as every edge: which sessions before it are read is training.sessions.
            ["gold", "features"],
            ["gold", "labels"],
            "feature_registry",
            *followed,
        ],
        **{
            **group.common(
                "training_set",
                {"feast", "parquet"},
                "Labels decided before the session, with features as of each decision.",
                pool=HEAVY,
            ),
            "io_manager_key": "parquet_models",
        },
        **group.checks(
            "training_set",
            ("only_the_past", "No label was decided after the session began.", True),
            ("as_of_decision", "Every input is what was known when its bar closed, and labels begin there.", True),
        ),
    )
    def training_set_(context: dg.AssetExecutionContext, home: HomeResource):
        session, keys = context.partition_key, group.sessions()
        # A model that nothing could be compared with is refused before hours are spent on it.
        champion.must_be_comparable(configuration, champion.load(home.stores, model))
        store = open_store(home.stores.home, configuration)
        window = training_set.window(configuration, model, session, keys)
        gold = training_set.gold_contents(home.lake, window)
        rows = training_set.build(store, home.lake, configuration, model, session, keys)
        digest = content_hash(rows)
        service = service_for(store, model, model_features(configuration, model))
        origin = training_set.Origin(digest, service, CODE_VERSION, gold)
        training_set.write_origin(home.lake, model, session, origin)
        start = pd.Timestamp(session_bounds(session)[0])
        late = int((rows["label_end"] > start).sum() + (rows["decision_time"] >= rows["label_end"]).sum())
        minutes = {symbol: i.minutes for symbol, i in configuration.instruments.instruments.items()}
        wrong = as_of.problems(home.lake, rows, group.features, label, minutes, window)
        by_instrument = rows.groupby("instrument")["label"].agg(["size", "mean"])
        table = "\n".join(
            f"| {symbol} | {int(r['size'])} | {r['mean']:.4f} |" for symbol, r in by_instrument.iterrows()
        )
        return dg.MaterializeResult(
            value={session: rows},
            data_version=dg.DataVersion(digest),
            metadata={
                "dagster/row_count": len(rows),
                "features": len(group.features),
                "feature_service": service,
                "gold_hash": origin.gold_hash,
                "base_rate": float(rows["label"].mean()),
                "first_decision": str(rows["decision_time"].iloc[0]),
                "last_label_end": str(rows["label_end"].max()),
                "instruments": dg.MetadataValue.md("| instrument | rows | base rate |\n| --- | --- | --- |\n" + table),
            },
            check_results=[
                dg.AssetCheckResult(check_name="only_the_past", passed=late == 0, metadata={"late_rows": late}),
                dg.AssetCheckResult(
                    check_name="as_of_decision", passed=not wrong, metadata={"problems": wrong or ["none"]}
                ),
            ],
        )

    return training_set_


def _model_study(group: Group) -> dg.AssetsDefinition:
    model, configuration = group.model, group.configuration
    # A search that is made in the same run comes first; where none was made, the study goes without.
    searched = [[model, search.TABLE]] if group.entry.search else []

    @define_asset(
        ins={"rows": group.upstream("training_set")},
        deps=searched,
        **group.common(
            "model_study",
            {"xgboost", "parquet"},
            "Every candidate through the same purged folds, the leak canaries, and the choice.",
            pool=HEAVY,
        ),
        **group.checks(
            "model_study",
            ("leak_canary", "What cannot be known is not predicted, and a planted leak is found.", True),
            ("folds_audited", "No fold trains on a label that ends too close to what it tests.", True),
        ),
    )
    def model_study(context: dg.AssetExecutionContext, home: HomeResource, rows: pd.DataFrame):
        session = context.partition_key
        spec = train.study_spec(configuration, model, session, rows, home.lake)
        found = train.study(rows, spec, context.log.info)
        train.keep_study(home.lake, model, session, spec, found)
        canary = leak_canary(found.figures)
        return dg.MaterializeResult(
            value={
                "model": model,
                "session": session,
                "chosen": found.chosen,
                "figures": found.figures,
                "spec": msgspec.to_builtins(spec),
            },
            metadata={
                "candidate": found.chosen["name"],
                "rows": len(rows),
                "out_of_fold": f"{home.lake.url}/{home.lake.where(f'models/{model}/out_of_fold', session)}",
                "candidates": dg.MetadataValue.md(report.candidate_table(found.figures)),
            },
            check_results=[
                dg.AssetCheckResult(check_name="leak_canary", passed=canary.passed, metadata={"reason": canary.reason}),
                dg.AssetCheckResult(
                    check_name="folds_audited",
                    passed=not found.fold_problems,
                    metadata={"problems": found.fold_problems or ["none"]},
                ),
            ],
        )

    return model_study


def _trained_model(group: Group) -> dg.AssetsDefinition:
    model, configuration = group.model, group.configuration

    @define_asset(
        ins={"rows": group.upstream("training_set"), "study": group.upstream("model_study")},
        **group.common(
            "trained_model",
            {"xgboost", "mlflow"},
            "The chosen candidate, fitted on the whole training set and registered as challenger.",
            pool=HEAVY,
        ),
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        mlflow: dg.ResourceParam[Any],
        rows: pd.DataFrame,
        study: dict,
    ):
        session = context.partition_key
        origin = training_set.read_origin(home.lake, model, session, content_hash(rows))
        predictions = home.lake.read(f"models/{model}/out_of_fold", [session])[session]
        record = train.fit_and_log(
            mlflow, configuration, model, session, rows, study, predictions, origin, context.run.run_id
        )
        return dg.MaterializeResult(
            value={**record, "figures": study["figures"]},
            data_version=dg.DataVersion(record["model_sha256"]),
            metadata={
                "version": record["version"],
                "candidate": record["chosen"]["name"],
                "algorithm": record["chosen"].get("algorithm", ""),
                "rows": record["rows"],
                "model_sha256": record["model_sha256"],
                "mlflow_run_id": record["mlflow_run_id"],
            },
        )

    return trained_model

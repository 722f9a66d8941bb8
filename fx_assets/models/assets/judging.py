"""Judging a trained model: model_evaluation gathers the evidence and writes the card, promotion_decision decides."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pandas as pd

from fx_assets.evaluation.gates import lookup
from fx_assets.models import card, champion, decision, evidence, registry, report
from fx_assets.models.assets.shared import Group
from fx_assets.models.card_page import data_address, to_markdown
from fx_assets.resources.home import HomeResource
from fx_assets.tables import define_asset
from fx_serving.client.home import Stores


def build(group: Group) -> Sequence[dg.AssetsDefinition]:
    """The two assets of one model, in their order."""
    return [_model_evaluation(group), _promotion_decision(group)]


def card_folder(stores: Stores, model: str, version: str) -> Path:
    """Where a version's model card lies, beside the copy in MLflow."""
    return stores.home / "cards" / model / version


def _model_evaluation(group: Group) -> dg.AssetsDefinition:
    model, entry, configuration = group.model, group.entry, group.configuration

    @define_asset(
        ins={"record": group.upstream("trained_model"), "rows": group.upstream("training_set")},
        **group.common(
            "model_evaluation",
            {"python", "mlflow"},
            "The honest study of the registered version, its comparison with the champion, and its model card.",
        ),
        **group.checks(
            "model_evaluation", ("beats_baselines", "AUC above the best naive baseline at the lower 95 % bound.", False)
        ),
    )
    def model_evaluation(context: dg.AssetExecutionContext, home: HomeResource, record: dict, rows: pd.DataFrame):
        session, version, lake = context.partition_key, record["version"], home.lake
        predictions = lake.read(f"models/{model}/out_of_fold", [session])[session]
        daily = lake.read(f"models/{model}/daily", [session])[session]
        challenger = champion.load_version(home.stores, model, version)
        holder = champion.load(home.stores, model)
        inputs = None
        if holder is not None:
            key = ["instrument", "decision_time"]
            aligned = predictions[key].merge(rows, on=key, how="left", validate="one_to_one")
            inputs = champion.with_its_features(lake, aligned, holder.features)
        judged = evidence.gather(challenger, holder, record["figures"], predictions, rows, inputs, entry.seed)
        # The same function over the same evidence as promotion_decision: the card says what will be decided.
        verdict = decision.decide(decision.profile_of(configuration.gates, entry.gates), judged.evidence, session)
        made = card.make(evidence.card_content(configuration, challenger, record, judged, verdict, predictions, daily))
        folder = card_folder(home.stores, model, version)
        page = made.write(folder)
        registry.log_artifacts(home.stores, challenger.record, folder, "card")
        shown = to_markdown(made.page, {name: data_address(png) for name, png in made.pictures.items()})
        above = judged.evidence["auc_vs_baseline"]
        return dg.MaterializeResult(
            value={**judged.evidence, "card": str(page)},
            metadata={
                "model_card": dg.MetadataValue.md(shown),
                "model_card_html": dg.MetadataValue.path(page),
                "verdict": made.page.badge,
                "says": report.honest_sentence(judged.evidence["naive"]),
                "summary": dg.MetadataValue.md(report.summary_table(judged.evidence)),
                "folds": dg.MetadataValue.md(report.fold_table(judged.evidence)),
                "auc": judged.evidence["auc"]["value"],
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="beats_baselines",
                    passed=lookup(judged.evidence, "auc_vs_baseline.low") > 0,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"baseline": judged.evidence["baseline"], **above},
                )
            ],
        )

    return model_evaluation


def _promotion_decision(group: Group) -> dg.AssetsDefinition:
    model, entry, configuration = group.model, group.entry, group.configuration

    @define_asset(
        ins={"record": group.upstream("trained_model"), "found": group.upstream("model_evaluation")},
        **group.common(
            "promotion_decision",
            {"python"},
            f"Every gate of the profile '{entry.gates}' and of every model, and the comparison with the champion.",
        ),
        **group.checks(
            "promotion_decision",
            ("gates", "Every gate was passed. A miss rejects the model; that is a normal outcome.", False),
        ),
    )
    def promotion_decision(context: dg.AssetExecutionContext, home: HomeResource, record: dict, found: dict):
        verdict = decision.decide(decision.profile_of(configuration.gates, entry.gates), found, context.partition_key)
        client = registry.open_registry(home.stores.home)
        now = registry.version_with_alias(client, model, registry.CHAMPION)
        if now != verdict["champion"]:
            raise dg.Failure(
                f"{model} version {record['version']} was compared with champion {verdict['champion'] or '(none)'}, "
                f"but the champion is {now or '(none)'} now. Materialize {model}/model_evaluation again.",
                allow_retries=False,
            )
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
                "model_card_html": dg.MetadataValue.path(found["card"]),
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

    return promotion_decision

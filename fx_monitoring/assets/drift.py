"""drift_report: how far what the service was asked is from what its model was trained on, and what is done about it.
feature_importance_drift: whether the champion leans on the same inputs as in training.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.errors import FxError
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.drift import words
from fx_monitoring.drift.importance import importance_drift
from fx_monitoring.drift.judge import judge_model
from fx_serving.client.bundle import BundleError, bundle_dir

#: Sessions whose rows are "recent" for feature_importance_drift.
RECENT_SESSIONS = 20
QUIET_ACTIONS = ("none", "log")


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The assets about drift."""
    return [_drift_report(shared), _importance(shared)]


def jobs(shared: Shared) -> list[Any]:
    """Their jobs; automation.yaml says when they run."""
    return [
        dg.define_asset_job(
            "drift",
            selection=["predictions", "drift_report"],
            description="What the service answered in the session so far, and how far its inputs have drifted.",
        ),
        dg.define_asset_job(
            "feature_importance_weekly",
            selection=["feature_importance_drift"],
            description="Whether the champions lean on the same inputs as in training.",
        ),
    ]


def _drift_report(shared: Shared) -> dg.AssetsDefinition:
    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                "drift", asset="drift_report", description="Each model was judged, and drift asks for nothing more."
            ),
            dg.AssetCheckSpec("feed", asset="drift_report", description="Nothing speaks of a broken feed."),
        ],
        **shared.common(
            "How far the service's inputs and answers are from its model's training sample, and what follows.",
            {"evidently"},
        ),
    )
    def drift_report(context: dg.AssetExecutionContext, home: HomeResource, predictions: pd.DataFrame):
        session = context.partition_key
        found, unjudged = {}, {}
        for model, part in predictions.groupby("model"):
            name = str(model)
            try:
                found[name] = judge_model(
                    home.stores, name, session, part, lake=shared.lake, configuration=shared.configuration
                )
            except (BundleError, FxError) as error:  # the other models are judged all the same
                unjudged[name] = f"{name}: {error}"
        loud = {model: status for model, status in found.items() if status["action"] not in QUIET_ACTIONS}
        broken = {model: status for model, status in found.items() if status["cause"] == "feed"}
        metadata: dict[str, Any] = {
            "levels": listed((f"{model}: {status['level']}" for model, status in found.items()), "no predictions"),
            "predictions": len(predictions),
            "not_judged": listed(unjudged.values()),
        }
        for model, status in found.items():
            metadata |= _metadata(model, status)
        return dg.MaterializeResult(
            value=found,
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="drift",
                    passed=not (loud.keys() - broken.keys()) and not unjudged,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={
                        "actions": listed(f"{model}: {status['action']}" for model, status in found.items()),
                        "not_judged": listed(unjudged.values()),
                    },
                ),
                dg.AssetCheckResult(
                    check_name="feed",
                    passed=not broken,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={"reasons": listed(why for s in broken.values() for why in s["decision"]["reasons"])},
                ),
            ],
        )

    return drift_report


def _importance(shared: Shared) -> dg.AssetsDefinition:
    recent = dg.TimeWindowPartitionMapping(start_offset=1 - RECENT_SESSIONS)

    @define_asset(
        deps=[dg.AssetDep(dg.AssetKey(["gold", "features"]), partition_mapping=recent)],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                "importance",
                asset="feature_importance_drift",
                description="Each champion ranks its inputs as in training.",
            )
        ],
        **shared.common("Mean absolute contributions to recent rows against training, by model.", {"xgboost"}),
    )
    def feature_importance_drift(context: dg.AssetExecutionContext, home: HomeResource):
        session = context.partition_key
        drift, models = load_monitoring().drift, shared.configuration.models.models
        limits = {model: drift.of(model, models).importance_correlation for model in shared.deployed}
        keys = [key for key in shared.lake.keys("gold/features") if key <= session][-RECENT_SESSIONS:]
        found = {model: _importance_of(shared, home, model, keys) for model in shared.deployed}
        known = {model: figures for model, figures in found.items() if figures is not None}
        moved = [m for m, f in known.items() if f["spearman"] == f["spearman"] and f["spearman"] < limits[m]]
        metadata: dict[str, Any] = {"sessions": len(keys)}
        for model, figures in found.items():
            if figures is None:
                metadata[model] = "no champion with contributions, or no rows"
                continue
            metadata[f"{model}_rank_correlation"] = figures["spearman"]
            metadata[f"{model}_shares"] = dg.MetadataValue.md(words.shares(figures))
            metadata[f"{model}_plot"] = embed(lambda axes, figures=figures: _draw_shares(axes, figures))
        return dg.MaterializeResult(
            value=found,
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="importance",
                    passed=not moved,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"moved": listed(moved), "limits": limits},
                )
            ],
        )

    return feature_importance_drift


def _importance_of(shared: Shared, home: HomeResource, model: str, keys: list[str]) -> dict[str, Any] | None:
    """The figures of one champion; None without one, without its bundle, or without rows."""
    from fx_assets.models import champion

    holder = champion.load(home.stores, model)
    if holder is None or not keys:
        return None
    sample = bundle_dir(home.stores.bundles, model, holder.version) / "reference.parquet"
    if not sample.is_file():
        return None
    rows = shared.lake.table("gold/features", keys[0], keys[-1], shared.configuration.model_instruments(model))
    figures = importance_drift(
        holder.predictor.contributions, pd.read_parquet(sample), rows.reindex(columns=holder.features), holder.features
    )
    return None if figures is None else {"version": holder.version, **figures}


def _metadata(model: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """What Dagster shows of one model."""
    reasons = "; ".join(status["decision"]["reasons"])
    made: dict[str, Any] = {
        f"{model}_action": f"{status['action']}: {reasons or 'nothing to do'}",
        f"{model}_rows": status["window"]["words"] or f"{status['rows']} distinct rows of the session",
        f"{model}_explains": dg.MetadataValue.md(words.explaining(status)),
        f"{model}_psi": dg.MetadataValue.md(words.features(status)),
        f"{model}_plot": _picture(Path(status["plot"])) if status["plot"] else "no rows",
        f"{model}_report": dg.MetadataValue.path(status["html"]) if status["html"] else "no rows",
    }
    if status["notes"]:
        made[f"{model}_notes"] = status["notes"]
    if status["instruments"]:
        made[f"{model}_instruments"] = dg.MetadataValue.md(words.instruments(status))
    if status["prediction"]:
        made[f"{model}_prediction_kl"] = status["prediction"]["kl"]
    return made


def _picture(path: Path) -> dg.MarkdownMetadataValue:
    """A PNG file as the Dagster UI shows it."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})")


def _draw_shares(axes: Any, figures: Mapping[str, Any]) -> None:
    shown = figures["features"][: words.MOST][::-1]
    places = range(len(shown))
    axes.barh([place + 0.2 for place in places], [f["training"] for f in shown], height=0.4, label="training")
    axes.barh([place - 0.2 for place in places], [f["recent"] for f in shown], height=0.4, label="recent")
    axes.set_yticks(list(places), [f["feature"] for f in shown], fontsize=6)
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(fontsize=7)

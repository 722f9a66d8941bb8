"""predictions and shadow_predictions: what the service answered in a session, with inputs and outcome, and what a
candidate would have answered to the same requests. Unseen scores have a table of their own: nobody acted on them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.resources.home import HomeResource
from fx_assets.schemas import content_hash
from fx_assets.sessions import news_bounds
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.drift.predictions import predictions_frame
from fx_monitoring.quality.late import labels_around
from fx_monitoring.quality.outcomes import ADDED, Market, foreign_versions, lacks, with_outcomes
from fx_monitoring.quality.shadow import shadow_frame
from fx_serving.client.clock import now

COLUMNS = ("prediction_id", "instrument", "timestamp", "model", "version", "slot", "prediction", "label", *ADDED)
# Shifts a half-open interval [start, end) to (start, end]: time stamps have microseconds.
EXCLUSIVE = timedelta(microseconds=1)


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The two assets."""
    return [_predictions(shared), _shadow_predictions(shared)]


def bounds(key: str, all_week: bool) -> tuple[datetime, datetime]:
    """The decision times of a session, first included, second not.

    Decisions are taken at a bar's close: the one at the session's end is still this session's, and what is asked at a
    weekend is Sunday's.
    """
    start, end = (moment + EXCLUSIVE for moment in news_bounds(key, all_week))
    return start, end


def _predictions(shared: Shared) -> dg.AssetsDefinition:
    newest, configuration = dg.LastPartitionMapping(), shared.configuration

    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=[
            *(dg.AssetDep([name, "deployment"], partition_mapping=newest) for name in shared.deployed),
            dg.AssetDep(["gold", "labels"]),
        ],
        io_manager_key="parquet_monitoring",
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "schema", asset="predictions", blocking=True, description="Columns, and one row for each id."
            )
        ],
        **shared.common("What the service answered in each session, with inputs and outcome.", {"pandas", "parquet"}),
    )
    def predictions(context: dg.AssetExecutionContext, home: HomeResource):
        market, moment = Market.of(configuration), now()
        frames, notes = {}, dict[str, None]()
        for key in context.partition_keys:
            start, end = bounds(key, configuration.all_week)
            frame = predictions_frame(home.stores.predictions, start, end)
            labels = labels_around(home.lake, key, configuration.all_week)
            foreign = foreign_versions(home.stores, market, frame)
            frames[key] = with_outcomes(frame, labels, market, moment, foreign)
            notes |= dict.fromkeys(_unjoined(key, frame, labels, market, foreign))
            context.add_asset_metadata(
                {"dagster/partition_row_count": len(frames[key]), "content_hash": content_hash(frames[key])},
                partition_key=key,
            )
        everything = pd.concat(frames.values(), ignore_index=True)
        problems = [f"{c}: missing" for c in COLUMNS if c not in everything.columns]
        if repeated := int(everything["prediction_id"].duplicated().sum()):
            problems.append(f"{repeated} prediction ids repeated")
        return dg.MaterializeResult(
            value=frames,
            metadata={
                "run_rows": len(everything),
                "outcomes_known": int(everything["outcome"].notna().sum()),
                "outcomes": dg.MetadataValue.md(_source_table(everything)),
                "without_label": listed(notes),
                "by_version": dg.MetadataValue.md(_version_table(everything)),
            },
            check_results=[
                dg.AssetCheckResult(check_name="schema", passed=not problems, metadata={"problems": listed(problems)})
            ],
        )

    return predictions


def _shadow_predictions(shared: Shared) -> dg.AssetsDefinition:
    @define_asset(
        io_manager_key="parquet_monitoring",
        backfill_policy=dg.BackfillPolicy.single_run(),
        **shared.common(
            "What candidates would have answered, unseen by anybody, beside the served answer and its outcome.",
            {"pandas", "parquet"},
        ),
    )
    def shadow_predictions(context: dg.AssetExecutionContext, home: HomeResource, predictions: pd.DataFrame):
        frames = {}
        for key in context.partition_keys:
            start, end = bounds(key, shared.configuration.all_week)
            frames[key] = shadow_frame(home.stores.predictions, predictions, start, end)
            context.add_asset_metadata(
                {"dagster/partition_row_count": len(frames[key]), "content_hash": content_hash(frames[key])},
                partition_key=key,
            )
        failed = sum(int(frame["failed"].notna().sum()) for frame in frames.values())
        metadata: dict[str, Any] = {"run_rows": sum(map(len, frames.values())), "failed": failed}
        return dg.MaterializeResult(value=frames, metadata=metadata)

    return shadow_predictions


def _unjoined(
    key: str,
    frame: pd.DataFrame,
    labels: pd.DataFrame | None,
    market: Market,
    foreign: Mapping[tuple[str, str], str],
) -> list[str]:
    """Why outcomes are not looked for in gold/labels, in words."""
    told = [f"{model} version {version}: {why}" for (model, version), why in foreign.items()]
    if labels is None:
        return [*told, f"gold/labels is not made for {key}"] if len(frame) else told
    asked = sorted(set(frame["model"].unique()) & market.labels.keys())
    lacking = [model for model in asked if lacks(labels, market.labels[model])]
    return [*told, *(f"{model}: gold/labels of {key} was made before its label was asked for" for model in lacking)]


def _source_table(frame: pd.DataFrame) -> str:
    """How many outcomes are known, and from where, by model."""
    lines = ["| model | predictions | from feedback | from the label | not known |", "| --- |" + " ---: |" * 4]
    for model, rows in frame.groupby("model"):
        source = rows["outcome_source"]
        told, joined = int((source == "feedback").sum()), int((source == "label").sum())
        lines.append(f"| {model} | {len(rows)} | {told} | {joined} | {len(rows) - told - joined} |")
    return "\n".join(lines)


def _version_table(frame: pd.DataFrame) -> str:
    counts = frame.groupby(["model", "version", "slot"]).size().reset_index(name="n")
    rows = [f"| {r['model']} | {r['version']} | {r['slot']} | {r['n']} |" for r in counts.to_dict("records")]
    return "\n".join(["| model | version | slot | predictions |", "| --- | --- | --- | --- |", *rows])

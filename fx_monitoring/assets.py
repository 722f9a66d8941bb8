"""predictions and drift_report: what the service was asked, and how far that is from what its model was trained on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features import feature_names
from fx_assets.freshness.policies import table_policy
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import content_hash
from fx_assets.sessions import news_bounds
from fx_assets.tables import CODE_VERSION, OWNER, define_asset, transient
from fx_monitoring.drift.evidently_report import render_html
from fx_monitoring.drift.predictions import PREFIX, predictions_frame
from fx_monitoring.drift.report import DriftReport, drift_figures, plot_psi, write_status
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.home import Stores

GROUP = "monitoring"
COLUMNS = ("prediction_id", "instrument", "timestamp", "model", "version", "slot", "prediction", "label")
TOP_FEATURES = 12
# Shifts a half-open interval [start, end) to (start, end]: time stamps have microseconds.
EXCLUSIVE = timedelta(microseconds=1)


def build(partitions: dg.PartitionsDefinition, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The monitoring assets for a configuration."""
    deployed = [name for name, model in configuration.models.models.items() if model.deploy]
    newest = dg.LastPartitionMapping()

    def common(description: str, kinds: set[str], **extra: Any) -> dict[str, Any]:
        return {
            "group_name": GROUP,
            "partitions_def": partitions,
            "freshness_policy": table_policy(configuration.data.sla("monitoring")),
            "retry_policy": transient,
            "owners": [OWNER],
            "tags": {"layer": "monitoring"},
            "description": description,
            "kinds": kinds,
            "code_version": CODE_VERSION,
            **extra,
        }

    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=[dg.AssetDep([name, "deployment"], partition_mapping=newest) for name in deployed],
        io_manager_key="parquet_monitoring",
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "schema", asset="predictions", blocking=True, description="Columns, and one row for each id."
            )
        ],
        **common("What the service answered in each session, with inputs and outcome.", {"pandas", "parquet"}),
    )
    def predictions(context: dg.AssetExecutionContext, home: HomeResource):
        frames = {}
        for key in context.partition_keys:
            # Decisions are taken at a bar's close: the one at the session's end is still this session's, and what is
            # asked at a weekend is Sunday's.
            start, end = (moment + EXCLUSIVE for moment in news_bounds(key))
            frames[key] = predictions_frame(home.stores.predictions, start, end)
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
                "by_version": dg.MetadataValue.md(_version_table(everything)),
            },
            check_results=[
                dg.AssetCheckResult(check_name="schema", passed=not problems, metadata={"problems": problems})
            ],
        )

    @define_asset(
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                "drift", asset="drift_report", description="No feature drifts by more than 0.15 (moderate)."
            )
        ],
        **common("Population stability index of every feature against the model's training sample.", {"evidently"}),
    )
    def drift_report(context: dg.AssetExecutionContext, home: HomeResource, predictions: pd.DataFrame):
        session = context.partition_key
        found = {
            model: judge_model(home.stores, str(model), session, part) for model, part in predictions.groupby("model")
        }
        worst = [f"{model}: {status['level']}" for model, status in found.items()]
        quiet = all(status["level"] in ("none", "minor", "inconclusive") for status in found.values())
        metadata: dict[str, Any] = {"levels": worst or ["no predictions"], "predictions": len(predictions)}
        for model, status in found.items():
            metadata[f"{model}_psi"] = dg.MetadataValue.md(_psi_table(status))
            metadata[f"{model}_plot"] = dg.MetadataValue.path(status["plot"]) if status["plot"] else "no rows"
            metadata[f"{model}_report"] = dg.MetadataValue.path(status["html"]) if status["html"] else "no rows"
        return dg.MaterializeResult(
            value=found,
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="drift",
                    passed=quiet,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"levels": worst},
                )
            ],
        )

    return [predictions, drift_report]


def judge_model(stores: Stores, model: str, session: str, predictions: pd.DataFrame) -> dict[str, Any]:
    """One model's drift in one session: figures, HTML report, plot, and the status file that others read.

    The reference is the training sample in the bundle of the version that answered most of the session. The
    status file keeps the newest session's verdict: judging an old session again does not replace it.
    """
    version = str(predictions["version"].mode().iloc[0])
    folder = bundle_dir(stores.bundles, model, version)
    features = [feature.name for feature in read_manifest(folder).features]
    # The model scores float32 and the log holds what was scored: a float64 reference would differ in the last bits,
    # which matters for features with few distinct values.
    reference = pd.read_parquet(folder / "reference.parquet")[features].astype("float32")
    asked = predictions.astype({c: "float32" for name in features if (c := PREFIX + name) in predictions.columns})
    report = drift_figures(reference, asked, features, unjudged=feature_names("calendar"))
    place = stores.reports / "drift" / f"{model}-{version}-{session}"
    html, plot = _artifacts(place, reference, asked, features, report)
    path = stores.drift / f"{model}.json"
    if path.is_file() and msgspec.json.decode(path.read_bytes())["session"] > session:
        path = _file(place, ".json")
    status = write_status(path, report, model, version, session, report_id=_report_id(model, version, session))
    return {**status, "html": html, "plot": plot}


def _report_id(model: str, version: str, session: str) -> str:
    """Unique for each judgement, so that what reacts to one reacts once."""
    return f"{model}-{version}-{session}-{datetime.now():%Y%m%dT%H%M%S%f}"


def _artifacts(
    place: Path, reference: pd.DataFrame, predictions: pd.DataFrame, features: list[str], report: DriftReport
) -> tuple[str | None, str | None]:
    from fx_monitoring.drift.predictions import distinct_inputs
    from fx_serving.client.files import atomic_write

    if not report.features:
        return None, None
    plot = _file(place, ".png")
    atomic_write(plot, plot_psi(report))
    html = render_html(reference, distinct_inputs(predictions, features), features, _file(place, ".html"))
    return str(html), str(plot)


def _file(place: Path, ending: str) -> Path:
    """`place` with an ending. Not with_suffix: a version may hold a dot."""
    return place.with_name(place.name + ending)


def _psi_table(status: dict[str, Any]) -> str:
    ranked = sorted(status["features"].items(), key=lambda item: -item[1]["psi"])[:TOP_FEATURES]
    rows = [f"| {name} | {figure['psi']:.4f} | {figure['level']} |" for name, figure in ranked]
    return "\n".join(["| feature | PSI | level |", "| --- | --- | --- |", *rows])


def _version_table(frame: pd.DataFrame) -> str:
    counts = frame.groupby(["model", "version", "slot"]).size().reset_index(name="n")
    rows = [f"| {r['model']} | {r['version']} | {r['slot']} | {r['n']} |" for r in counts.to_dict("records")]
    return "\n".join(["| model | version | slot | predictions |", "| --- | --- | --- | --- |", *rows])

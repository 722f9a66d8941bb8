"""prediction_quality: how good the answers were over the last sessions, against what the model card promised.

And the job `monitor`, which keeps what is looked at all day: answers, their quality, the books, and health.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.sessions import session_bounds
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.quality import plots, report, rolling
from fx_monitoring.quality.expectation import expected_of
from fx_monitoring.quality.page import write_page
from fx_monitoring.quality.rows import ALL, QualityRow, headline, plain, read_history, write_status
from fx_serving.client.clock import now, to_iso

JOB = "monitor"
OWN = ("predictions", "shadow_predictions", "prediction_quality", "champion_challenger")
MONITORED = (*OWN, "paper_trading", "quant_health", "infrastructure_health")
CHECK = "quality"
HISTORY = 60  # sessions that the plots show


def jobs(shared: Shared) -> list[Any]:
    """The job that the schedule asks for, every quarter of an hour of market hours."""
    what = "Predictions and their outcomes, their quality, the books, and health: of the running session."
    return [dg.define_asset_job(JOB, selection=[dg.AssetKey(name) for name in MONITORED], description=what)]


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The asset."""
    return [_prediction_quality(shared)]


def horizons(shared: Shared) -> dict[str, float]:
    """How many minutes of open market each model looks ahead."""
    configuration = shared.configuration
    instruments = configuration.instruments.instruments
    return {
        name: float(entry.label.minutes(min(instruments[s].minutes for s in configuration.model_instruments(name))))
        for name, entry in configuration.models.models.items()
    }


def _prediction_quality(shared: Shared) -> dg.AssetsDefinition:
    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=["predictions"],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset="prediction_quality",
                description="No serving version is worse than its model card, beyond what chance explains.",
            )
        ],
        **shared.common(
            "Accuracy, AUC, Brier score and calibration of the answers over the last sessions, by version and "
            "instrument, with intervals, against the model card.",
            {"python"},
        ),
    )
    def prediction_quality(context: dg.AssetExecutionContext, home: HomeResource):
        session, policy = context.partition_key, load_monitoring().quality
        calendar = list(shared.partitions.get_partition_keys())
        answers = rolling.recent(home.lake, calendar, session)

        def expected(model: str, version: str):
            return expected_of(home.stores, home.lake, model, version)

        at = now()
        rows = rolling.quality_rows(answers, calendar, session, horizons(shared), expected, policy, at)
        models = sorted({row.model for row in rows})
        heads = {model: headline(row for row in rows if row.model == model) for model in models}
        curves = {model: rolling.curves(answers, model) for model in models}
        for model in models:
            write_status(home.stores, model, session, rows, at)
            if at >= session_bounds(session)[1]:  # a page of each closed session; of the running one on request
                own = [row for row in rows if row.model == model]
                write_page(home.stores, home.lake, model, session, own, curves[model], policy.keep_reports)
        worse = [row for row in rows if row.serving and row.instrument == ALL and row.verdict == "worse"]
        return dg.MaterializeResult(
            value={"session": session, "at": to_iso(at), "rows": plain(rows), "curves": curves},
            metadata=_metadata(home, session, len(answers), rows, heads, curves),
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not worse,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"worse": listed(f"{r.model} {r.window}: {'; '.join(r.reasons)}" for r in worse)},
                )
            ],
        )

    return prediction_quality


def _metadata(
    home: HomeResource,
    session: str,
    answers: int,
    rows: Sequence[QualityRow],
    heads: dict[str, QualityRow | None],
    curves: Mapping[str, plots.Curves],
) -> dict[str, Any]:
    """What the Dagster UI shows: numbers to plot over sessions, tables, and pictures."""
    verdicts = (f"{m}: {report.verdict_line(h)}" for m, h in heads.items() if h)
    found: dict[str, Any] = {"answers": answers, "verdicts": listed(verdicts, "no answers")}
    for model, head in heads.items():
        if head is None:
            continue
        own = [row for row in rows if row.model == model]
        found[f"{model}_figures"] = dg.MetadataValue.md(report.figure_table([r for r in own if r.instrument == ALL]))
        found[f"{model}_by_instrument"] = dg.MetadataValue.md(report.instrument_table(own, head))
        for name in ("accuracy", "auc", "brier"):
            if (value := getattr(head, name)) is not None:
                found[f"{model}_{name}"] = value
        earlier = [row for row in read_history(home.lake, model, session, HISTORY) if row.serving]
        history = [*earlier, *(row for row in own if row.serving)]
        if head.n:
            found[f"{model}_rolling"] = embed(plots.rolling(history, head.window))
            found[f"{model}_rolling_brier"] = embed(plots.rolling(history, head.window, ("brier",)))
        if curves[model]:
            found[f"{model}_calibration"] = embed(plots.calibrated(curves[model], head.version))
    return found

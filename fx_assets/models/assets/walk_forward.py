"""walk_forward_report: what the versions of a backfilled range did on rows that each of them cannot have seen."""

import io
from collections.abc import Sequence

import dagster as dg
import msgspec
import pandas as pd

from fx_assets.configuration.labels import LAST_SIGN
from fx_assets.models import walk_forward
from fx_assets.models.assets.shared import Group
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import HEAVY
from fx_assets.sessions import session_bounds
from fx_assets.tables import define_asset

NAME = "walk_forward_report"


class Range(dg.Config):
    """Sessions of the versions to judge, both included; empty for all."""

    first: str = ""
    last: str = ""


def folder(model: str) -> str:
    """Where the report lies in the lake: report.json, report.md, predictions.parquet."""
    return f"models/{model}/{NAME}"


def build(group: Group) -> Sequence[dg.AssetsDefinition]:
    """The asset of one model; none for a model that follows another one's forecasts, which are not kept by version."""
    model, label = group.model, group.entry.label
    if label.kind == "meta" and label.primary != LAST_SIGN:
        return []

    @define_asset(
        **group.common(
            NAME,
            {"python"},
            "Each registered version on the rows from its session on, until the next version's.",
            partitions_def=None,
            backfill_policy=None,
            pool=HEAVY,
            deps=[
                dg.AssetDep([model, "trained_model"], partition_mapping=dg.AllPartitionMapping()),
                dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping()),
                dg.AssetDep(["gold", "labels"], partition_mapping=dg.LastPartitionMapping()),
            ],
        ),
        **group.checks(NAME, ("unseen_rows", "Every row was decided after its version's training set ended.", False)),
    )
    def walk_forward_report(
        context: dg.AssetExecutionContext, config: Range, home: HomeResource
    ) -> dg.MaterializeResult:
        found = walk_forward.study(home.stores, home.lake, model, config.first, config.last, context.log.info)
        seen = _seen(found.rows)
        buffer = io.BytesIO()
        found.rows.to_parquet(buffer, index=False)
        place = folder(model)
        home.lake.store.write(f"{place}/predictions.parquet", buffer.getvalue())
        home.lake.store.write(f"{place}/report.md", found.markdown.encode())
        home.lake.store.write(f"{place}/report.json", msgspec.json.format(msgspec.json.encode(found.figures), indent=2))
        figures = found.figures
        return dg.MaterializeResult(
            metadata={
                "versions": len(figures["versions"]),
                "rows": figures["n"],
                "auc": figures["auc"]["value"],
                "net_return": figures["backtest"]["net_return"],
                "report": dg.MetadataValue.md(found.markdown),
                "path": f"{home.lake.url}/{place}/report.md",
            },
            check_results=[
                dg.AssetCheckResult(check_name="unseen_rows", passed=seen == 0, metadata={"seen_rows": seen})
            ],
        )

    return [walk_forward_report]


def _seen(rows: pd.DataFrame) -> int:
    """Rows decided before the session of the version that judged them began."""
    starts = {session: pd.Timestamp(session_bounds(session)[0]) for session in rows["session"].unique()}
    return int((rows["decision_time"] < rows["session"].map(starts)).sum())

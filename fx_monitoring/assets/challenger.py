"""champion_challenger: what candidates would have answered, and what other slots did, beside the serving version."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.resources.home import HomeResource
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.assets.quality import horizons
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.quality import pairs, report, rolling
from fx_monitoring.quality.rows import WINDOWS

SHADOWS = "monitoring/shadow_predictions"


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The asset."""

    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=["predictions", "shadow_predictions"],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        **shared.common(
            "Candidates and other slots against the serving version on the same bars: paired differences over the last "
            "sessions, with intervals.",
            {"python"},
        ),
    )
    def champion_challenger(context: dg.AssetExecutionContext, home: HomeResource):
        session, policy = context.partition_key, load_monitoring().quality
        calendar = list(shared.partitions.get_partition_keys())
        keys = rolling.window_keys(calendar, session, max(WINDOWS.values()))
        parts = [frame.assign(session=key) for key, frame in home.lake.read(SHADOWS, keys).items() if len(frame)]
        shadows = pd.concat(parts, ignore_index=True) if parts else None
        answers = rolling.recent(home.lake, calendar, session)
        champions = {str(model): rolling.serving_version(own) for model, own in answers.groupby("model")}
        seen = [pairs.answered_pairs(answers, champions)]
        if shadows is not None:
            seen.append(pairs.shadow_pairs(shadows))
        found = _compared(pd.concat(seen, ignore_index=True), horizons(shared), policy.min_effective)
        failures = [] if shadows is None else pairs.failures(shadows)
        metadata: dict[str, Any] = {
            "pairs": dg.MetadataValue.md(report.pair_table(found)),
            "verdicts": listed((f"{p['model']} {p['challenger']}: {p['verdict']}" for p in found), "no challenger"),
            "failed_scores": sum(entry["failed"] for entry in failures),
        }
        return dg.MaterializeResult(value={"session": session, "pairs": found, "shadows": failures}, metadata=metadata)

    return [champion_challenger]


def _compared(rows: pd.DataFrame, minutes: dict[str, float], needed: float) -> list[dict[str, Any]]:
    names = ["model", "champion", "challenger", "source"]
    return [
        {
            **dict(zip(names, map(str, key), strict=True)),
            "sessions": sorted(own["session"].unique().tolist()),
            **pairs.compare(own, minutes.get(str(key[0]), 60.0), needed),
        }
        for key, own in rows.groupby(names, sort=True)
    ]

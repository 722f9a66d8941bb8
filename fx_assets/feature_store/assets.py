"""feature_registry and online_features: Feast's registry, and the newest features where the service finds them."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.failures import no_retry
from fx_assets.feature_store.blobs import publish_blobs
from fx_assets.feature_store.online import read_online, write_newest
from fx_assets.feature_store.repository import TTL, objects, open_store, service_name, views
from fx_assets.freshness.policies import table_policy
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import DATABASE
from fx_assets.tables import CODE_VERSION, OWNER, transient

GROUP = "feature_store"
RECENT_SESSIONS = 8  # holds the blobs' history, holidays included


def build(configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The two Feast assets for a configuration."""

    @dg.asset(
        description="Entities, feature views and services, applied to the feature registry.",
        deps=[dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping())],
        group_name=GROUP,
        owners=[OWNER],
        tags={"layer": GROUP},
        kinds={"feast"},
        pool=DATABASE,
        code_version=CODE_VERSION,
        freshness_policy=table_policy(configuration.data.sla("gold/features")),
        check_specs=[
            dg.AssetCheckSpec(
                "schema",
                asset="feature_registry",
                description="Every feature view is registered with exactly the features that models are built from.",
            )
        ],
    )
    def feature_registry(home: HomeResource) -> dg.MaterializeResult:
        store = open_store(home.stores.home)
        store.apply(objects(home.lake.root, configuration))
        registered = {view.name: [field.name for field in view.features] for view in store.list_feature_views()}
        different = [view for view, names in views().items() if sorted(registered.get(view, [])) != sorted(names)]
        lines = [f"| {view} | {len(names)} | {TTL[view]} |" for view, names in views().items()]
        return dg.MaterializeResult(
            metadata={
                "feature_views": dg.MetadataValue.md(
                    "\n".join(["| view | features | time to live |", "| --- | --- | --- |", *lines])
                ),
                "feature_services": [service_name(model) for model in configuration.models.models],
                "features": sum(len(names) for names in registered.values()),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="schema", passed=not different, metadata={"different": different or ["none"]}
                )
            ],
        )

    @dg.asset(
        description="The newest features of each instrument in the online store, and the blobs the service reads.",
        deps=[
            "feature_registry",
            dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping()),
        ],
        group_name=GROUP,
        owners=[OWNER],
        tags={"layer": GROUP},
        kinds={"feast", "sqlite"},
        pool=DATABASE,
        code_version=CODE_VERSION,
        freshness_policy=table_policy(configuration.data.sla("gold/features")),
        retry_policy=transient,
        check_specs=[
            dg.AssetCheckSpec(
                "online_equals_offline",
                asset="online_features",
                description="The newest row of each instrument is the same online and in gold/features, bit for bit.",
            )
        ],
    )
    @no_retry()
    def online_features(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        store = open_store(home.stores.home)
        keys = home.lake.keys("gold/features")[-RECENT_SESSIONS:]
        recent = home.lake.table("gold/features", keys[0] if keys else None)
        if recent.empty:
            raise MissingData(
                f"gold/features: no rows in sessions {keys[0]} to {keys[-1]}. Fetch newer candles, or set sessions.end "
                "in instruments.yaml to the last session there is."
            )
        newest = recent.sort_values("available_at").groupby("instrument").tail(1)
        written = {view: write_newest(store, view, newest) for view in views()}
        published = publish_blobs(store, home.stores, recent)
        different = parity_problems(
            newest, {view: read_online(store, view, newest["instrument"].tolist()) for view in views()}
        )
        return dg.MaterializeResult(
            metadata={
                "rows_written": written,
                "newest": dg.MetadataValue.md(_newest_table(published)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="online_equals_offline",
                    passed=not different,
                    metadata={"different": different or ["none"]},
                )
            ],
        )

    return [feature_registry, online_features]


def parity_problems(newest: pd.DataFrame, online: dict[str, pd.DataFrame]) -> list[str]:
    """Which (instrument, feature) differ between gold and online, to the last bit; empty when none does."""
    found = []
    for view, stored in online.items():
        left = newest.set_index("instrument").sort_index()
        right = stored.set_index("instrument").sort_index()
        for name in views()[view]:
            same = left[name].to_numpy().view(np.int64) == right[name].to_numpy().view(np.int64)
            both_missing = left[name].isna().to_numpy() & right[name].isna().to_numpy()
            found += [f"{symbol}.{name}" for symbol in left.index[~(same | both_missing)]]
    return found


def _newest_table(newest: dict[str, datetime]) -> str:
    return "\n".join(["| instrument | newest row |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in newest.items())])

"""feature_registry and online_features: Feast's registry, and the newest features where the service finds them."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData, StoreError
from fx_assets.feature_store.blobs import publish_blobs
from fx_assets.feature_store.online import newest_rows, stored_online, write_newest
from fx_assets.feature_store.parity import parity_problems, told
from fx_assets.feature_store.repository import apply, open_store, ttls
from fx_assets.freshness.policies import table_policy
from fx_assets.lake import Lake
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import DATABASE
from fx_assets.schemas import views
from fx_assets.tables import CODE_VERSION, OWNER, define_asset, transient

GROUP = "feature_store"
RECENT_SESSIONS = 8  # holds the blobs' history, holidays included


def build(configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The two Feast assets for a configuration."""
    features, lifetimes = views(configuration), ttls(configuration)
    online_kind = configuration.data.feature_store.online

    @define_asset(
        description="Entity, feature views and versioned feature services, applied to the feature registry.",
        deps=[dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping())],
        group_name=GROUP,
        owners=[OWNER],
        tags={"layer": GROUP},
        kinds={"feast"},
        pool=DATABASE,
        code_version=CODE_VERSION,
        freshness_policy=table_policy(configuration.data.sla("gold/features")),
        retry_policy=transient,
        check_specs=[
            dg.AssetCheckSpec(
                "schema",
                asset="feature_registry",
                description="Every feature view is registered with the features that gold/features has.",
            )
        ],
    )
    def feature_registry(home: HomeResource) -> dg.MaterializeResult:
        store = open_store(home.stores.home, configuration)
        services = apply(store, home.lake.root, configuration)
        registered = {view.name: [field.name for field in view.features] for view in store.list_feature_views()}
        # Behind the present features stand those that only older services use.
        different = [view for view, names in features.items() if registered.get(view, [])[: len(names)] != names]
        lines = [f"| {view} | {len(names)} | {lifetimes[view]} |" for view, names in features.items()]
        return dg.MaterializeResult(
            metadata={
                "feature_views": dg.MetadataValue.md(
                    "\n".join(["| view | features | time to live |", "| --- | --- | --- |", *lines])
                ),
                "feature_services": list(services.values()),
                "older_services": sorted({s.name for s in store.list_feature_services()} - set(services.values())),
                "features": sum(map(len, features.values())),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="schema", passed=not different, metadata={"different": different or ["none"]}
                )
            ],
        )

    @define_asset(
        description="The newest features of each instrument in the online store, and the blobs the service reads.",
        deps=[
            "feature_registry",
            dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping()),
        ],
        group_name=GROUP,
        owners=[OWNER],
        tags={"layer": GROUP},
        kinds={"feast", online_kind},
        pool=DATABASE,
        code_version=CODE_VERSION,
        freshness_policy=table_policy(configuration.data.sla("gold/features")),
        retry_policy=transient,
    )
    def online_features(home: HomeResource) -> dg.MaterializeResult:
        store = open_store(home.stores.home, configuration)
        keys = home.lake.keys("gold/features")[-RECENT_SESSIONS:]
        recent = home.lake.table("gold/features", keys[0] if keys else None)
        if recent.empty:
            raise MissingData(
                f"gold/features: no rows in sessions {keys[0]} to {keys[-1]}. Fetch newer candles, or set sessions.end "
                "in instruments.yaml to the last session there is."
            )
        written = {view: write_newest(store, view, recent) for view in features}
        symbols, code = configuration.instruments.instruments, _code(home.lake, keys)
        published = publish_blobs(store, home.stores, recent, features, symbols, code)
        return dg.MaterializeResult(
            metadata={"rows_written": written, "newest": dg.MetadataValue.md(_newest_table(published))}
        )

    return [feature_registry, online_features]


def build_checks(configuration: Configuration) -> Sequence[dg.AssetChecksDefinition]:
    """The parity check: in every run of online_features, and by itself whenever somebody asks."""
    features = views(configuration)

    @dg.asset_check(
        asset="online_features",
        name="online_equals_offline",
        description="The newest row of each instrument is the same online and in gold/features, bit for bit.",
    )
    def online_equals_offline(home: HomeResource) -> dg.AssetCheckResult:
        try:
            store = open_store(home.stores.home, configuration)
            keys = home.lake.keys("gold/features")[-RECENT_SESSIONS:]
            newest = newest_rows(home.lake, keys[0] if keys else None)
            symbols = newest["instrument"].tolist()
            different = parity_problems(newest, {v: stored_online(store, v, symbols) for v in features}, features)
        except (StoreError, MissingData) as error:
            return dg.AssetCheckResult(passed=False, description=str(error), metadata={"different": [str(error)]})
        return dg.AssetCheckResult(
            passed=not different,
            metadata={
                "different": told(different),
                "instruments": len(newest),
                "newest": str(newest["available_at"].max()),
            },
        )

    return [online_equals_offline]


def _code(lake: Lake, keys: Sequence[str]) -> str | None:
    """Version of the code that made the newest session with rows; None where its file does not say."""
    rows = lake.read("gold/features", keys, ["available_at"])
    newest = next(key for key in reversed(keys) if len(rows[key]))
    stamp = lake.stamps("gold/features", [newest])[newest]
    return stamp.code if stamp else None


def _newest_table(newest: dict[str, datetime]) -> str:
    return "\n".join(["| instrument | newest row |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in newest.items())])

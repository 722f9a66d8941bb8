"""bronze/candles and bronze/news: what the sources answered, as files that are never modified."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import dagster as dg

from fx_assets.bronze.fetch import fetch_candles, fetch_news, fetch_table, summary
from fx_assets.bronze.files import BronzeFile
from fx_assets.configuration import Configuration
from fx_assets.resources.home import HomeResource
from fx_assets.tables import CODE_VERSION, OWNER, Tables, define_asset, transient, weekly_close

_FETCHERS = 4


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The two bronze assets for a configuration."""
    instruments = configuration.instruments.instruments

    def common(what: str) -> dict:
        return {
            "group_name": "bronze",
            "partitions_def": tables.partitions,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "freshness_policy": weekly_close,
            "retry_policy": transient,
            "owners": [OWNER],
            "tags": {"layer": "bronze"},
            "kinds": {"json"},
            "code_version": CODE_VERSION,
            "check_specs": [
                dg.AssetCheckSpec(
                    "fetched", asset=["bronze", what], description="Every source that was asked answered."
                )
            ],
        }

    @define_asset(
        key=["bronze", "candles"],
        description="Candles as fetched: one gzip NDJSON file a fetch.",
        **common("candles"),
    )
    def candles(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        now = datetime.now(UTC)

        def fetch(key: str) -> list[BronzeFile | None]:
            return [fetch_candles(home.bronze, symbol, i, key, now) for symbol, i in instruments.items()]

        return _fetched(context, fetch, expected=len(instruments))

    @define_asset(
        key=["bronze", "news"],
        description="Headlines as fetched: one gzip NDJSON file a fetch.",
        **common("news"),
    )
    def news(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        now, sources = datetime.now(UTC), configuration.instruments.news.sources

        def fetch(key: str) -> list[BronzeFile]:
            return fetch_news(home.bronze, sources, key, now, tables.all_week)

        return _fetched(context, fetch, expected=len(sources))

    return [candles, news]


def _fetched(context: dg.AssetExecutionContext, fetch: Callable[[str], list], expected: int) -> dg.MaterializeResult:
    """Fetch every session of the run and report files and rows for each."""
    keys = context.partition_keys
    with ThreadPoolExecutor(_FETCHERS) as pool:
        fetched = dict(zip(keys, pool.map(fetch, keys), strict=True))
    counts = {key: summary(files) for key, files in fetched.items()}
    for key, count in counts.items():
        context.add_asset_metadata(
            {
                "dagster/partition_row_count": count["rows"],
                "files": count["files"],
                "sha256": [f.sha256 for f in fetched[key] if f is not None],
            },
            partition_key=key,
        )
    answered = all(len(files) == expected for files in fetched.values())
    return dg.MaterializeResult(
        metadata={"newest": dg.MetadataValue.md(fetch_table(counts))},
        check_results=[dg.AssetCheckResult(check_name="fetched", passed=answered, metadata={"sessions": len(keys)})],
    )

"""The silver tables. Each asset reads its input, calls one pure function, and reports the result.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS
from fx_assets.configuration import Configuration
from fx_assets.features import compute_features, max_window
from fx_assets.features.news import score_headlines
from fx_assets.partitions import lookback
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import BID_ASK
from fx_assets.silver import clean
from fx_assets.tables import Tables, by_session, define_asset

# Sessions that do not trade (Christmas, New Year) or lack an hour must not shorten a window: a few are added.
SPARE_SESSIONS = 4
# A share of impossible rows above this says that the source is broken, and nothing may be built on it.
MAX_REJECTED_SHARE = 0.01


def lookback_sessions(window: int, bar_minutes: int) -> int:
    """Sessions that hold at least `window` bars, spare ones included."""
    bars_in_session = 24 * 60 // bar_minutes
    return -(-window // bars_in_session) + SPARE_SESSIONS


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The silver assets for a configuration."""
    instruments = configuration.instruments.instruments
    bar_minutes = {symbol: i.minutes for symbol, i in instruments.items()}
    history = lookback_sessions(max_window(), max(bar_minutes.values()))

    spec = tables.asset("silver/candles")
    spec["check_specs"] = [
        *spec["check_specs"],
        dg.AssetCheckSpec(
            "possible_prices",
            asset=["silver", "candles"],
            blocking=True,
            description=f"At most {MAX_REJECTED_SHARE:.0%} of the rows had to be left out as impossible.",
        ),
    ]

    @define_asset(deps=[["bronze", "candles"]], **spec)
    def candles(context: dg.AssetExecutionContext, home: HomeResource):
        rows = home.bronze.read(CANDLES, context.partition_keys, instruments)
        good, rejected = clean.candles(rows, bar_minutes)
        # Of distinct candles: fetching a broken session again must not make its share look smaller.
        share = rejected / max(rejected + len(good), 1)
        result = tables.result(
            context, "silver/candles", good if len(good) else tables.schemas["silver/candles"].empty()
        )
        check = dg.AssetCheckResult(
            check_name="possible_prices",
            passed=share <= MAX_REJECTED_SHARE,
            metadata={"rejected": rejected, "share": share},
        )
        return result._replace(check_results=[*result.check_results, check])

    def feature_asset(group: str) -> dg.AssetsDefinition:
        table = f"silver/{group}"

        @define_asset(
            ins={"candles": lookback("silver/candles", history)},
            **tables.asset(table, kinds={"numba", "parquet"}),
        )
        def features(context: dg.AssetExecutionContext, candles: pd.DataFrame):
            computed = by_session(
                list(context.partition_keys),
                without_missing_quotes(candles),
                lambda bars: with_available_at(compute_features(bars, [group]), bar_minutes),
                history,
                max_window(),
                tables.keys(),
                tables.all_week,
            )
            return tables.result(context, table, computed)

        return features

    @define_asset(deps=[["bronze", "news"]], **tables.asset("silver/news_sentiment"))
    def news_sentiment(context: dg.AssetExecutionContext, home: HomeResource):
        rows = clean.headlines(home.bronze.read(NEWS, context.partition_keys, [ALL_NEWS]))
        if rows.empty:
            return tables.result(context, "silver/news_sentiment", tables.schemas["silver/news_sentiment"].empty())
        scored = rows.assign(sentiment=score_headlines(rows["headline"].tolist()))
        return tables.result(context, "silver/news_sentiment", scored)

    groups = [feature_asset(group) for group in ("technical", "microstructure", "volatility")]
    return [candles, *groups, news_sentiment]


def without_missing_quotes(candles: pd.DataFrame) -> pd.DataFrame:
    """Candles without the bid and ask columns where no instrument has them: their features are then left out."""
    return candles.drop(columns=[name for name in BID_ASK if name in candles and candles[name].isna().all()])


def with_available_at(features: pd.DataFrame, bar_minutes: dict[str, int]) -> pd.DataFrame:
    """The bar's close as the first moment its features can be known."""
    length = pd.to_timedelta(features["instrument"].map(bar_minutes), unit="min")
    return features.assign(available_at=features["time"] + length)

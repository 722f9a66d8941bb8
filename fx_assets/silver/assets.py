"""The silver tables. Each asset reads its input, calls one pure function, and reports the result.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence

import dagster as dg
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features import FEATURES, compute_features
from fx_assets.features.blocks import MINUTE_US, ordered_bars, with_columns
from fx_assets.features.news import score_headlines
from fx_assets.inputs import FEATURE_GROUPS, feature_history
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import BID_ASK
from fx_assets.silver import candles, clean
from fx_assets.tables import TableReader, Tables, by_session, define_asset

BARS = ["instrument", "time", "open", "high", "low", "close", "volume", *BID_ASK]
WINDOWS = {spec.name: spec.window for spec in FEATURES}
QUOTE_FEATURES = [spec.name for spec in FEATURES if set(BID_ASK) & set(spec.requires)]


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The silver assets for a configuration."""
    instruments = configuration.instruments.instruments
    bar_minutes = {symbol: i.minutes for symbol, i in instruments.items()}
    history = feature_history(configuration)

    def feature_asset(group: str) -> dg.AssetsDefinition:
        table = f"silver/{group}"

        @define_asset(**tables.asset(table, kinds={"numba", "parquet"}))
        def features(context: dg.AssetExecutionContext, candles: TableReader):
            calendar = tables.keys()

            def of_bars(bars: pd.DataFrame) -> pd.DataFrame:
                return with_available_at(quoted_features(bars, [group]), bar_minutes)

            def compute(keys: list[str]) -> pd.DataFrame:
                return by_session(keys, candles.read(keys, BARS), of_bars, history, WINDOWS, calendar, tables.all_week)

            return tables.produce(context, table, compute, [candles])

        return features

    @define_asset(**tables.asset("silver/news_sentiment"))
    def news_sentiment(context: dg.AssetExecutionContext, home: HomeResource):
        fetched = tables.bronze(context, "silver/news_sentiment", "fetched", home.bronze)

        def compute(keys: list[str]) -> pd.DataFrame:
            rows = clean.headlines(fetched.read(keys))
            if rows.empty:
                return tables.schemas["silver/news_sentiment"].empty()
            return rows.assign(sentiment=score_headlines(rows["headline"].tolist()))

        return tables.produce(context, "silver/news_sentiment", compute, [fetched])

    groups = [feature_asset(group) for group in FEATURE_GROUPS]
    return [*candles.build(tables, configuration), *groups, news_sentiment]


def quoted_features(bars: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Features as compute_features gives them; those of bid and ask are missing for a bar without them."""
    bars = ordered_bars(bars)
    unquoted = bars[list(BID_ASK)].isna().any(axis=1).to_numpy()
    if unquoted.all():
        return compute_features(bars.drop(columns=list(BID_ASK)), groups)
    found = compute_features(bars, groups)
    names = [name for name in QUOTE_FEATURES if name in found.columns]
    if not unquoted.any() or not names:
        return found
    return with_columns(found, {name: np.where(unquoted, np.nan, found[name].to_numpy(float)) for name in names})


def with_available_at(features: pd.DataFrame, bar_minutes: dict[str, int]) -> pd.DataFrame:
    """The bar's close as the first moment its features can be known."""
    codes, names = pd.factorize(features["instrument"])
    lengths = np.array([bar_minutes[name] for name in names], dtype=np.int64) * MINUTE_US
    length = pd.TimedeltaIndex(lengths[codes].view("timedelta64[us]"))
    return with_columns(features, {"available_at": (pd.DatetimeIndex(features["time"]) + length).array})

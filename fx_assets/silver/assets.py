"""The silver tables. Each asset reads its input, calls one pure function, and reports the result.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features import FEATURES, max_window
from fx_assets.features.blocks import MINUTE_US, with_columns
from fx_assets.features.filled import filled_features
from fx_assets.inputs import SILVER_GROUPS, feature_histories
from fx_assets.resources.compute import ComputeResource
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import OPTIONAL_COLUMNS
from fx_assets.sentiment import make_scorer
from fx_assets.silver import candles
from fx_assets.silver.lookahead_check import Lookahead
from fx_assets.silver.lookahead_report import lookahead_spec, with_lookahead
from fx_assets.silver.news import news_table
from fx_assets.tables import Computed, TableReader, Tables, by_session, define_asset

BARS = ["instrument", "time", "open", "high", "low", "close", *OPTIONAL_COLUMNS]
WINDOWS = {spec.name: spec.window for spec in FEATURES}


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The silver assets for a configuration."""
    instruments = configuration.instruments.instruments
    bar_minutes = {symbol: i.minutes for symbol, i in instruments.items()}
    history = feature_histories(configuration)

    def feature_asset(group: str) -> dg.AssetsDefinition:
        table = f"silver/{group}"

        @define_asset(**tables.asset(table, kinds={"numba", "parquet"}, checks=[lookahead_spec(table)]))
        def features(context: dg.AssetExecutionContext, candles: TableReader, compute: ComputeResource):
            calendar, all_week = tables.keys(), tables.all_week
            look = Lookahead(max_window(), all_week, bar_minutes)

            def of_bars(bars: pd.DataFrame) -> pd.DataFrame:
                return with_available_at(filled_features(bars, [group]), bar_minutes)

            def make(keys: list[str], bars: pd.DataFrame) -> pd.DataFrame:
                return by_session(keys, bars, of_bars, history, WINDOWS, calendar, all_week)

            def work(keys: list[str]) -> Computed:
                bars = candles.read(keys, BARS, history)
                rows = make(keys, bars)
                return Computed({table: rows}, problems={table: look.look(keys, bars, rows, make)})

            made = tables.produce(context, table, work, [candles], workers=compute, look=look)
            return with_lookahead(made, look)

        return features

    @define_asset(**tables.asset("silver/news_sentiment"))
    def news_sentiment(context: dg.AssetExecutionContext, home: HomeResource):
        fetched = tables.bronze(context, "silver/news_sentiment", "fetched", home.bronze)
        scorer = make_scorer(configuration.data.sentiment)

        def compute(keys: list[str]) -> pd.DataFrame:
            rows = news_table(fetched.read(keys), keys, scorer)
            return rows if len(rows) else tables.schemas["silver/news_sentiment"].empty()

        return tables.produce(context, "silver/news_sentiment", compute, [fetched], scorer=scorer.version)

    groups = [feature_asset(group) for group in SILVER_GROUPS]
    return [*candles.build(tables, configuration), *groups, news_sentiment]


def with_available_at(features: pd.DataFrame, bar_minutes: dict[str, int]) -> pd.DataFrame:
    """The bar's close as the first moment its features can be known."""
    if len(set(bar_minutes.values())) == 1:  # nearly always; names are slow to number
        length: Any = np.timedelta64(next(iter(bar_minutes.values())) * MINUTE_US, "us")
    else:
        codes, names = pd.factorize(features["instrument"])
        lengths = np.array([bar_minutes[name] for name in names], dtype=np.int64) * MINUTE_US
        length = pd.TimedeltaIndex(lengths[codes].view("timedelta64[us]"))
    return with_columns(features, {"available_at": (pd.DatetimeIndex(features["time"]) + length).array})

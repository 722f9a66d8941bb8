"""The gold tables: what models are trained on and served from.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features.news import NEWS_SIGNALS
from fx_assets.gold import join
from fx_assets.gold.labels import label_table
from fx_assets.gold.market import market_table
from fx_assets.gold.signals import signal_table
from fx_assets.inputs import LAG_LOOKBACK
from fx_assets.schemas import LAGGED, LAGS
from fx_assets.tables import TableReader, Tables, by_session, define_asset

BARS = ["instrument", "time", "available_at", "open", "high", "low", "close"]
LAG_WINDOWS = {f"{name}_lag{k}": k + 1 for name in LAGGED for k in LAGS}


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The gold assets for a configuration."""
    bar_minutes = {symbol: i.minutes for symbol, i in configuration.instruments.instruments.items()}

    @define_asset(**tables.asset("gold/market_features"))
    def market_features(
        context: dg.AssetExecutionContext,
        candles: TableReader,
        technical: TableReader,
        microstructure: TableReader,
        volatility: TableReader,
    ):
        def compute(keys: list[str]) -> pd.DataFrame:
            groups = [group.own(keys) for group in (technical, microstructure, volatility)]
            return market_table(candles.own(keys, BARS), groups)

        return tables.produce(
            context, "gold/market_features", compute, [candles, technical, microstructure, volatility]
        )

    @define_asset(**tables.asset("gold/news_signals"))
    def news_table(context: dg.AssetExecutionContext, news: TableReader):
        def compute(keys: list[str]) -> pd.DataFrame:
            return signal_table(news.read(keys), keys, configuration.bar_minutes)

        return tables.produce(context, "gold/news_signals", compute, [news])

    @define_asset(**tables.asset("gold/features"))
    def features(context: dg.AssetExecutionContext, market: TableReader, news: TableReader):
        calendar = tables.keys()

        def compute(keys: list[str]) -> pd.DataFrame:
            # Only the lags look at earlier sessions: of these, nothing else is read.
            narrow = market.read(keys, ["instrument", "time", *LAGGED])
            lags = by_session(
                keys,
                narrow,
                lambda bars: join.lags(bars, LAGGED, LAGS),
                LAG_LOOKBACK,
                LAG_WINDOWS,
                calendar,
                tables.all_week,
            )
            whole = join.side_by_side(market.own(keys), lags)
            return join.known_news(whole, news.own(keys), list(NEWS_SIGNALS))

        return tables.produce(context, "gold/features", compute, [market, news])

    @define_asset(**tables.asset("gold/labels"))
    def labels(context: dg.AssetExecutionContext, candles: TableReader):
        def compute(keys: list[str]) -> pd.DataFrame:
            return label_table(candles.read(keys, BARS), configuration.label_horizons(), bar_minutes)

        return tables.produce(context, "gold/labels", compute, [candles])

    return [market_features, news_table, features, labels]

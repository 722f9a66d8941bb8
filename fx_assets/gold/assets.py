"""The gold tables: what models are trained on and served from.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features import FEATURES, max_window
from fx_assets.features.blocks import chosen_columns
from fx_assets.gold import join
from fx_assets.gold.labels import READ, label_table
from fx_assets.gold.lookahead import FeatureInputs, feature_problems, news_problems, recent_news
from fx_assets.gold.market import market_table, reference_of
from fx_assets.gold.signals import signal_columns, signal_table
from fx_assets.inputs import LAG_LOOKBACK, LAGGED_GROUPS, SILVER_GROUPS, feature_histories
from fx_assets.news import NEWS_SIGNALS
from fx_assets.resources.compute import ComputeResource
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import LAGGED, LAGS
from fx_assets.silver.assets import with_available_at
from fx_assets.silver.lookahead_check import Lookahead
from fx_assets.silver.lookahead_report import lookahead_spec, with_lookahead
from fx_assets.tables import Computed, TableReader, Tables, by_session, define_asset

BARS = ["instrument", "time", "available_at", "open", "high", "low", "close"]
WINDOWS = {spec.name: spec.window for spec in FEATURES}
LAG_WINDOWS = {f"{name}_lag{k}": k + 1 for name in LAGGED for k in LAGS}


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The gold assets for a configuration."""
    bar_minutes = {symbol: i.minutes for symbol, i in configuration.instruments.instruments.items()}
    history = feature_histories(configuration)

    @define_asset(**tables.asset("gold/market_features", checks=[lookahead_spec("gold/market_features")]))
    def market_features(
        context: dg.AssetExecutionContext, home: HomeResource, candles: TableReader, compute: ComputeResource
    ):
        table, calendar, all_week = "gold/market_features", tables.keys(), tables.all_week
        files = tables.reference(context, table, home.bronze)
        reference = reference_of({name: file.rows for name, file in files.items()})
        look = Lookahead(max_window(), all_week, bar_minutes)

        def of_bars(bars: pd.DataFrame) -> pd.DataFrame:
            return with_available_at(market_table(bars, bar_minutes, reference), bar_minutes)

        def make(keys: list[str], bars: pd.DataFrame) -> pd.DataFrame:
            return by_session(keys, bars, of_bars, history, WINDOWS, calendar, all_week)

        def work(keys: list[str]) -> Computed:
            bars = candles.read(keys, BARS, history)
            rows = make(keys, bars)
            return Computed({table: rows}, problems={table: look.look(keys, bars, rows, make)})

        readers = [candles, *files.values()]
        return with_lookahead(tables.produce(context, table, work, readers, workers=compute, look=look), look)

    @define_asset(**tables.asset("gold/news_signals", checks=[lookahead_spec("gold/news_signals")]))
    def news_table(context: dg.AssetExecutionContext, news: TableReader):
        table, calendar, columns = "gold/news_signals", tables.keys(), signal_columns(list(bar_minutes))
        look = Lookahead(0, tables.all_week)

        def make(keys: list[str], headlines: pd.DataFrame) -> pd.DataFrame:
            return signal_table(headlines, keys, configuration.bar_minutes, list(bar_minutes))

        def compute(keys: list[str]) -> Computed:
            headlines = news.read(keys, columns)
            rows = make(keys, headlines)

            def problems(key: str, made: pd.DataFrame) -> list[str] | None:
                return news_problems(lambda known: make([key], known), recent_news(headlines, key, calendar), made, key)

            return Computed({table: rows}, problems={table: look.first_of(keys, rows, problems)})

        return with_lookahead(tables.produce(context, table, compute, [news]), look)

    @define_asset(**tables.asset("gold/features", checks=[lookahead_spec("gold/features")]))
    def features(
        context: dg.AssetExecutionContext,
        market: TableReader,
        news: TableReader,
        compute: ComputeResource,
        **groups: TableReader,
    ):
        table, calendar, all_week = "gold/features", tables.keys(), tables.all_week
        look = Lookahead(max(LAGS), all_week, bar_minutes)
        lagged = {group: [name for name in LAGGED if name in groups[group].schema.names] for group in LAGGED_GROUPS}

        def make(keys: list[str], inputs: FeatureInputs) -> pd.DataFrame:
            lags = by_session(
                keys,
                inputs.history,
                lambda bars: join.lags(bars, LAGGED, LAGS),
                LAG_LOOKBACK,
                LAG_WINDOWS,
                calendar,
                all_week,
            )
            whole = join.side_by_side(*inputs.own, lags)
            of_bars, of_news = (join.session_numbers(rows, keys, all_week) for rows in (whole, inputs.news))
            return join.known_news(whole, inputs.news, list(NEWS_SIGNALS), (of_bars, of_news))

        def work(keys: list[str]) -> Computed:
            silver = {group: groups[group].own(keys) for group in SILVER_GROUPS}
            # Only the lags look at earlier sessions: of these, nothing else is read.
            lagging = []
            for group, names in lagged.items():
                columns = [*join.KEYS, *names]
                earlier = groups[group].neighbours(keys, columns)
                lagging.append(pd.concat([earlier, chosen_columns(silver[group], columns)], ignore_index=True))
            inputs = FeatureInputs(join.side_by_side(*lagging), [*silver.values(), market.own(keys)], news.own(keys))
            rows = make(keys, inputs)

            def problems(key: str, made: pd.DataFrame) -> list[str] | None:
                return feature_problems(lambda known: make([key], known), inputs, made, key, bar_minutes)

            return Computed({table: rows}, problems={table: look.first_of(keys, rows, problems)})

        readers = [*(groups[group] for group in SILVER_GROUPS), market, news]
        return with_lookahead(tables.produce(context, table, work, readers, workers=compute, look=look), look)

    @define_asset(**tables.asset("gold/labels"))
    def labels(context: dg.AssetExecutionContext, candles: TableReader):
        def compute(keys: list[str]) -> pd.DataFrame:
            return label_table(candles.read(keys, READ), configuration.label_horizons(), bar_minutes)

        return tables.produce(context, "gold/labels", compute, [candles])

    return [market_features, news_table, features, labels]

"""The gold tables: what models are trained on and served from.

The asset functions carry no return annotation: Dagster reads MaterializeResult there as "no value", and with
checks it accepts nothing else.
"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.features import compute_features
from fx_assets.features.news import NEWS_SIGNALS, news_signals
from fx_assets.gold import join
from fx_assets.gold.labels import label_table
from fx_assets.labels import label_sessions
from fx_assets.partitions import lookback
from fx_assets.schemas import LAGGED, LAGS
from fx_assets.sessions import session_bounds
from fx_assets.tables import Tables, by_session, define_asset

# Trailing news windows reach back three days; four sessions always cover them, weekend included.
NEWS_LOOKBACK = 4
LAG_LOOKBACK = 4


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The gold assets for a configuration."""
    instruments = configuration.instruments.instruments
    bar_minutes = {symbol: i.minutes for symbol, i in instruments.items()}
    horizon = max(label.horizon_minutes for label in configuration.label_horizons())
    before, ahead = label_sessions(horizon, configuration.all_week)

    @define_asset(
        ins={name: dg.AssetIn(["silver", name]) for name in ("candles", "technical", "microstructure", "volatility")},
        **tables.asset("gold/market_features"),
    )
    def market_features(
        context: dg.AssetExecutionContext,
        candles: pd.DataFrame,
        technical: pd.DataFrame,
        microstructure: pd.DataFrame,
        volatility: pd.DataFrame,
    ):
        calendar = compute_features(candles, ["calendar"])
        frame = join.side_by_side(technical, microstructure, volatility, calendar)
        return tables.result(context, "gold/market_features", frame)

    @define_asset(
        ins={"news": lookback("silver/news_sentiment", NEWS_LOOKBACK)},
        **tables.asset("gold/news_signals"),
    )
    def news_table(context: dg.AssetExecutionContext, news: pd.DataFrame):
        length = pd.Timedelta(minutes=configuration.bar_minutes)
        parts = []
        for start, end in map(session_bounds, context.partition_keys):
            times = join.decision_times(pd.Timestamp(start), pd.Timestamp(end), configuration.bar_minutes)
            # A headline of the very moment a session ends is the next session's, in every run.
            signals = news_signals(news[news["available_at"] < pd.Timestamp(end)], times)
            parts.append(signals.assign(available_at=times, time=times - length))
        return tables.result(context, "gold/news_signals", pd.concat(parts, ignore_index=True))

    @define_asset(
        ins={
            "market": lookback("gold/market_features", LAG_LOOKBACK),
            "news": dg.AssetIn(["gold", "news_signals"]),
        },
        **tables.asset("gold/features"),
    )
    def features(context: dg.AssetExecutionContext, market: pd.DataFrame, news: pd.DataFrame):
        lagged = by_session(
            list(context.partition_keys),
            market,
            lambda frame: join.with_lags(frame, LAGGED, LAGS),
            LAG_LOOKBACK,
            max(LAGS) + 1,
            tables.keys(),
            tables.all_week,
        )
        return tables.result(context, "gold/features", join.known_news(lagged, news, list(NEWS_SIGNALS)))

    @define_asset(
        ins={"candles": lookback("silver/candles", before, ahead)},
        **tables.asset("gold/labels"),
    )
    def labels(context: dg.AssetExecutionContext, candles: pd.DataFrame):
        computed = label_table(candles, configuration.label_horizons(), bar_minutes)
        return tables.result(context, "gold/labels", computed)

    return [market_features, news_table, features, labels]

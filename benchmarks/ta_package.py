"""The columns that the `ta` package and the feature library both have, made by `ta`."""

from __future__ import annotations

import pandas as pd

#: Ours -> how `ta` names the indicator it is made of.
COMMON = {
    "log_return_1": "daily_log_return",
    "rsi_14": "rsi",
    "macd": "macd",
    "macd_signal": "macd_signal",
    "macd_histogram": "macd_diff",
    "bollinger_position": "bollinger_pband",
    "bollinger_width": "bollinger_wband",
    "sma_distance_20": "sma_indicator",
    "sma_distance_50": "sma_indicator",
    "sma_distance_200": "sma_indicator",
    "ema_distance_12": "ema_indicator",
    "ema_distance_26": "ema_indicator",
    "ema_distance_50": "ema_indicator",
    "kama_distance_10": "kama",
    "atr_14": "average_true_range",
    "adx_14": "adx",
    "plus_di_14": "adx_pos",
    "minus_di_14": "adx_neg",
    "stochastic_k": "stoch",
    "stochastic_d": "stoch_signal",
    "cci_20": "cci",
    "williams_r_28": "williams_r",
    "roc_10": "roc",
    "aroon_up_25": "aroon_up",
    "aroon_down_25": "aroon_down",
    "donchian_position_20": "donchian_channel_pband",
    "mfi_14": "money_flow_index",
    "vwap_distance_24": "volume_weighted_average_price",
}


def ta_columns(bars: pd.DataFrame) -> pd.DataFrame:
    """Each of COMMON as `ta` gives it, with the same windows; where it gives a price, that price."""
    import ta.momentum
    import ta.others
    import ta.trend
    import ta.volatility
    import ta.volume

    high, low, close, volume = bars["high"], bars["low"], bars["close"], bars["volume"]
    bands = ta.volatility.BollingerBands(close, 20, 2)
    directional = ta.trend.ADXIndicator(high, low, close, 14)
    aroon = ta.trend.AroonIndicator(high, low, 25)
    stochastic = ta.momentum.StochasticOscillator(high, low, close, 14, 3)
    made = {
        "log_return_1": ta.others.daily_log_return(close),
        "rsi_14": ta.momentum.rsi(close, 14),
        "macd": (macd := ta.trend.MACD(close, 26, 12, 9)).macd(),
        "macd_signal": macd.macd_signal(),
        "macd_histogram": macd.macd_diff(),
        "bollinger_position": bands.bollinger_pband(),
        "bollinger_width": bands.bollinger_wband(),
        **{f"sma_distance_{k}": ta.trend.sma_indicator(close, k) for k in (20, 50, 200)},
        **{f"ema_distance_{k}": ta.trend.ema_indicator(close, k) for k in (12, 26, 50)},
        "kama_distance_10": ta.momentum.kama(close, 10, 2, 30),
        "atr_14": ta.volatility.average_true_range(high, low, close, 14),
        "adx_14": directional.adx(),
        "plus_di_14": directional.adx_pos(),
        "minus_di_14": directional.adx_neg(),
        "stochastic_k": stochastic.stoch(),
        "stochastic_d": stochastic.stoch_signal(),
        "cci_20": ta.trend.cci(high, low, close, 20),
        "williams_r_28": ta.momentum.williams_r(high, low, close, 28),
        "roc_10": ta.momentum.roc(close, 10),
        "aroon_up_25": aroon.aroon_up(),
        "aroon_down_25": aroon.aroon_down(),
        "donchian_position_20": ta.volatility.donchian_channel_pband(high, low, close, 20),
        "mfi_14": ta.volume.money_flow_index(high, low, close, volume, 14),
        "vwap_distance_24": ta.volume.volume_weighted_average_price(high, low, close, volume, 24),
    }
    return pd.DataFrame(made)

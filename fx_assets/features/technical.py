"""Price indicators: momentum, trend and oscillators from open, high, low and close.

Exponential means are truncated: spans at four spans, Wilder's at eight periods (0.03 % of the weight is cut
off), so that every value stands on a stated number of bars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.blocks import Block, apply, exponential, lag, log_change, ratio, wilder
from fx_assets.features.spec import FeatureSpec, declare

RETURNS = (1, 2, 3, 6, 12, 24, 48, 120)
SIMPLE = (20, 50, 200)
EXPONENTIAL = (12, 26, 50)
WILDER = "Wilder (1978), New Concepts in Technical Trading Systems"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("technical", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    *(
        _spec(f"log_return_{k}", k + 1, "log price", "close", "definition", f"Log return over {k} bars")
        for k in RETURNS
    ),
    _spec("rsi_14", 113, "0..100", "close", WILDER, "Relative strength index, 14 bars; 50 when flat"),
    _spec("macd", 104, "relative", "close", "Appel (1979)", "EMA 12 minus EMA 26, over the price"),
    _spec("macd_signal", 139, "relative", "close", "Appel (1979)", "EMA 9 of macd"),
    _spec("bollinger_position", 20, "bands", "close", "Bollinger (2001)", "%b: 0 lower band, 1 upper; 0.5 flat"),
    _spec("bollinger_width", 20, "relative", "close", "Bollinger (2001)", "Four deviations over the 20-bar mean"),
    *(
        _spec(f"sma_distance_{k}", k, "relative", "close", "definition", f"Close over its {k}-bar mean, minus 1")
        for k in SIMPLE
    ),
    *(
        _spec(f"ema_distance_{k}", 4 * k, "relative", "close", "definition", f"Close over its EMA {k}, minus 1")
        for k in EXPONENTIAL
    ),
    _spec("atr_14", 113, "relative", "high low close", WILDER, "Average true range over the close"),
    _spec("adx_14", 224, "0..100", "high low close", WILDER, "Average directional index"),
    _spec("stochastic_k", 14, "0..100", "high low close", "Lane (1984)", "%K, 14 bars; 50 when flat"),
    _spec("stochastic_d", 16, "0..100", "high low close", "Lane (1984)", "3-bar mean of %K"),
    _spec("cci_20", 20, "index", "high low close", "Lambert (1980)", "Commodity channel index"),
    _spec(
        "williams_r_28",
        28,
        "-100..0",
        "high low close",
        "Williams (1973)",
        "Williams %R over 28 bars (over 14 it would repeat %K); -50 when flat",
    ),
    _spec("roc_10", 11, "relative", "close", "definition", "Rate of change over 10 bars"),
    _spec("aroon_25", 26, "-100..100", "high low", "Chande (1995)", "Aroon up minus Aroon down"),
)


def technical_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the technical group, sorted by both. Bars and errors: `blocks.apply`."""
    return apply(bars, [compute])


def compute(block: Block) -> dict[str, np.ndarray]:
    """The technical features of one instrument, each float64 (n,)."""
    out = {f"log_return_{k}": log_change(block.close, k) for k in RETURNS}
    out |= _averages(block.close)
    out |= _oscillators(block)
    out |= _directional(block)
    return out


def _averages(close: np.ndarray) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import moments, weighted_mean

    ema = {k: weighted_mean(close, exponential(k, 4 * k)) for k in EXPONENTIAL}
    macd = ratio(ema[12] - ema[26], close)
    mean, deviation, _ = moments(close, 20)
    out = {"macd": macd, "macd_signal": weighted_mean(macd, exponential(9, 36))}
    out["bollinger_position"] = ratio(close - mean + 2.0 * deviation, 4.0 * deviation, default=0.5)
    out["bollinger_width"] = ratio(4.0 * deviation, mean)
    for k in SIMPLE:
        average = mean if k == 20 else weighted_mean(close, np.ones(k))
        out[f"sma_distance_{k}"] = ratio(close - average, average)
    for k in EXPONENTIAL:
        out[f"ema_distance_{k}"] = ratio(close - ema[k], ema[k])
    return out


def _oscillators(block: Block) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import extremes, moments, weighted_mean

    change = block.close - lag(block.close, 1)
    gain = weighted_mean(np.maximum(change, 0.0), wilder(14))
    loss = weighted_mean(np.maximum(-change, 0.0), wilder(14))
    top, bottom, _, _ = extremes(block.high, block.low, 14)
    stochastic = ratio(100.0 * (block.close - bottom), top - bottom, default=50.0)
    wide_top, wide_bottom, _, _ = extremes(block.high, block.low, 28)
    _, _, top_age, bottom_age = extremes(block.high, block.low, 26)
    typical = (block.high + block.low + block.close) / 3.0
    mean, _, absolute = moments(typical, 20)
    return {
        "rsi_14": ratio(100.0 * gain, gain + loss, default=50.0),
        "stochastic_k": stochastic,
        "stochastic_d": weighted_mean(stochastic, np.ones(3)),
        "cci_20": ratio(typical - mean, 0.015 * absolute),
        "williams_r_28": ratio(-100.0 * (wide_top - block.close), wide_top - wide_bottom, default=-50.0),
        "roc_10": ratio(block.close, lag(block.close, 10)) - 1.0,
        "aroon_25": 4.0 * (bottom_age - top_age),
    }


def _directional(block: Block) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import weighted_mean

    before = lag(block.close, 1)
    true_range = np.maximum(block.high, before) - np.minimum(block.low, before)
    up = block.high - lag(block.high, 1)
    down = lag(block.low, 1) - block.low
    unknown = np.isnan(before)
    plus = np.where(unknown, np.nan, np.where((up > down) & (up > 0.0), up, 0.0))
    minus = np.where(unknown, np.nan, np.where((down > up) & (down > 0.0), down, 0.0))
    weights = wilder(14)
    average = weighted_mean(true_range, weights)
    plus_index = ratio(weighted_mean(plus, weights), average)
    minus_index = ratio(weighted_mean(minus, weights), average)
    strength = ratio(100.0 * np.abs(plus_index - minus_index), plus_index + minus_index)
    return {"atr_14": ratio(average, block.close), "adx_14": weighted_mean(strength, weights)}

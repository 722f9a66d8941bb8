"""Price indicators: returns, trend, oscillators and volume flow. The formulas are in kernels/technical.py.

Where TA-Lib has an indicator of the same name, the definition is TA-Lib's, and the value the one that its recursion
settles on: Wilder's and exponential means are cut off where less than 1e-8 of the weight is left, so that every value
stands on a stated number of bars. Averages in price units are given relative to the price.
"""

from __future__ import annotations

import pandas as pd

from fx_assets.features.spec import FeatureSpec, declare

RETURNS = (1, 2, 3, 6, 12, 24, 48, 120, 240, 360)
SIMPLE = (20, 50, 200)
# Spans, and after how many bars their means are cut off.
EXPONENTIAL = {12: 256, 26: 384, 50: 512}
SIGNAL_TAPS = 128
WILDER_TAPS = 256
KAMA_TAPS = 256
WILDER = "Wilder (1978), New Concepts in Technical Trading Systems"
KAUFMAN = "Kaufman (1995), Smarter Trading"
APPEL = "Appel (1979)"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("technical", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    *(
        _spec(f"log_return_{k}", k + 1, "log price", "close", "definition", f"Log return over {k} bars")
        for k in RETURNS
    ),
    _spec("roc_10", 11, "relative", "close", "definition", "Rate of change over 10 bars"),
    _spec("rsi_14", WILDER_TAPS + 1, "0..100", "close", WILDER, "Relative strength index, 14 bars; 50 when flat"),
    _spec("macd", EXPONENTIAL[26] + 1, "relative", "close", APPEL, "EMA 12 minus EMA 26, over the price"),
    _spec(
        "macd_signal", EXPONENTIAL[26] + SIGNAL_TAPS, "relative", "close", APPEL, "EMA 9 of MACD's line, over the price"
    ),
    _spec("macd_histogram", EXPONENTIAL[26] + SIGNAL_TAPS, "relative", "close", APPEL, "macd minus macd_signal"),
    _spec("bollinger_position", 20, "bands", "close", "Bollinger (2001)", "%b: 0 lower band, 1 upper; 0.5 flat"),
    _spec("bollinger_width", 20, "relative", "close", "Bollinger (2001)", "Four deviations over the 20-bar mean"),
    *(
        _spec(f"sma_distance_{k}", k, "relative", "close", "definition", f"Close over its {k}-bar mean, minus 1")
        for k in SIMPLE
    ),
    *(
        _spec(f"ema_distance_{k}", taps + 1, "relative", "close", "definition", f"Close over its EMA {k}, minus 1")
        for k, taps in EXPONENTIAL.items()
    ),
    _spec("kama_distance_10", KAMA_TAPS + 10, "relative", "close", KAUFMAN, "Close over its KAMA 10/2/30, minus 1"),
    _spec("atr_14", WILDER_TAPS + 1, "relative", "high low close", WILDER, "Average true range over the close"),
    _spec("adx_14", 2 * WILDER_TAPS, "0..100", "high low close", WILDER, "Average directional index"),
    _spec("plus_di_14", WILDER_TAPS + 1, "0..100", "high low close", WILDER, "Directional indicator, up"),
    _spec("minus_di_14", WILDER_TAPS + 1, "0..100", "high low close", WILDER, "Directional indicator, down"),
    _spec("stochastic_k", 14, "0..100", "high low close", "Lane (1984)", "Fast %K, 14 bars; 50 when flat"),
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
    _spec("aroon_25", 26, "-100..100", "high low", "Chande (1995)", "Aroon up minus Aroon down"),
    _spec("aroon_up_25", 26, "0..100", "high low", "Chande (1995)", "How recent the highest high of 26 bars is"),
    _spec("aroon_down_25", 26, "0..100", "high low", "Chande (1995)", "How recent the lowest low of 26 bars is"),
    *(
        _spec(
            f"donchian_position_{k}",
            k,
            "0..1",
            "high low close",
            "Donchian (1960)",
            f"Close within the range of {k} bars; 0.5 when flat",
        )
        for k in (20, 55)
    ),
    _spec(
        "mfi_14",
        15,
        "0..100",
        "high low close volume",
        "Quong and Soudack (1989)",
        "Money flow index; 50 without flow",
    ),
    *(
        _spec(
            f"obv_{k}",
            k + 1,
            "-1..1",
            "close volume",
            "Granville (1963)",
            f"Change of on-balance volume over {k} bars, over their volume",
        )
        for k in (24, 120)
    ),
    *(
        _spec(
            f"vwap_distance_{k}",
            k,
            "relative",
            "high low close volume",
            "Berkowitz, Logue and Noser (1988)",
            f"Close over the volume-weighted typical price of {k} bars, minus 1",
        )
        for k in (24, 120)
    ),
)


def technical_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the technical group, sorted by both. Bars and errors: `compute_features`."""
    from fx_assets.features.engine import compute_features

    return compute_features(bars, ["technical"])

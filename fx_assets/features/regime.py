"""What kind of market it is: trend or noise, memory, shape of the returns, distance from extremes.

The formulas are in kernels/regime.py.
"""

from __future__ import annotations

import pandas as pd

from fx_assets.features.spec import FeatureSpec, declare

TREND = 64
KAUFMAN = "Kaufman (1995), Smarter Trading"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("regime", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec(f"trend_slope_{TREND}", TREND, "log price/bar", "close", "least squares", "Slope of the log close on time"),
    _spec(f"trend_r2_{TREND}", TREND, "0..1", "close", "least squares", "Share of variance that this trend explains"),
    *(
        _spec(
            f"efficiency_ratio_{k}", k + 1, "0..1", "close", KAUFMAN, f"|move| of {k} bars over the sum of their moves"
        )
        for k in (24, 120)
    ),
    *(
        _spec(
            f"scaled_momentum_{k}",
            k + 1,
            "deviations",
            "close",
            "Moskowitz, Ooi and Pedersen (2012)",
            f"Log return of {k} bars over the root of their summed squares",
        )
        for k in (24, 120)
    ),
    _spec("up_share_24", 25, "0..1", "close", "definition", "Share of rising bars, unchanged ones counted half"),
    *(
        _spec(
            f"variance_ratio_{k}",
            120 + k,
            "ratio",
            "close",
            "Lo and MacKinlay (1988)",
            f"Mean square of 120 overlapping {k}-bar returns over {k} times that of one bar, drift as 0; 1 when flat",
        )
        for k in (4, 16)
    ),
    _spec(
        "hurst_120",
        136,
        "exponent",
        "close",
        "Mandelbrot and Van Ness (1968)",
        "Half the slope of log mean square on log length, returns of 1, 2, 4, 8 and 16 bars; 0.5 when flat",
    ),
    _spec(
        "entropy_120",
        123,
        "0..1",
        "close",
        "Shannon (1948); Bandt and Pompe (2002)",
        "Entropy of 120 overlapping patterns of three bars, each up or not, over its greatest value",
    ),
    _spec("autocorrelation_120", 122, "-1..1", "close", "definition", "Of returns, one bar apart; 0 when flat"),
    _spec(
        "size_autocorrelation_120",
        122,
        "-1..1",
        "close",
        "Ding, Granger and Engle (1993)",
        "Of |returns|, one bar apart: whether volatility clusters; 0 when flat",
    ),
    _spec("skewness_120", 121, "ratio", "close", "definition", "Third standardised moment of returns; 0 when flat"),
    _spec("kurtosis_120", 121, "ratio", "close", "definition", "Fourth standardised moment minus 3; 0 when flat"),
    _spec("drawdown_120", 120, "relative", "high close", "definition", "Close over the highest high, minus 1"),
    _spec("runup_120", 120, "relative", "low close", "definition", "Close over the lowest low, minus 1"),
)


def regime_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the regime group, sorted by both. Bars and errors: `compute_features`."""
    from fx_assets.features.engine import compute_features

    return compute_features(bars, ["regime"])

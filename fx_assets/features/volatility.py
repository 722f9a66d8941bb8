"""Volatility per bar (never annualised): close-to-close, range-based, jumps, moves against their hour.

The formulas are in kernels/volatility.py.
"""

from __future__ import annotations

import pandas as pd

from fx_assets.features.hour_adjusted import ADJUSTED_WINDOW, SLOT_WINDOW
from fx_assets.features.spec import FeatureSpec, declare

EWMA_DECAY = 0.94
EWMA_TAPS = 256
LEVEL = 480
REALISED = (6, 24, 48, 120, 240)
# Span and length of the exponential means of figures against their hour.
SPEEDS = {"fast": (3, 12), "medium": (12, 48), "slow": (30, 120)}
ADJUSTED = "own; the daily shape of volatility: Andersen and Bollerslev (1997)"
SEMIVARIANCE = "Barndorff-Nielsen, Kinnebrock and Shephard (2010)"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("volatility", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    *(
        _spec(f"realised_{k}", k + 1, "deviation", "close", "definition", f"Root mean squared return, {k} bars")
        for k in REALISED
    ),
    _spec("parkinson_24", 24, "deviation", "high low", "Parkinson (1980)", "High-low volatility, 24 bars"),
    _spec("garman_klass_24", 24, "deviation", "open high low close", "Garman and Klass (1980)", "Range and body"),
    _spec(
        "rogers_satchell_24",
        24,
        "deviation",
        "open high low close",
        "Rogers and Satchell (1991)",
        "Drift-free",
    ),
    _spec("yang_zhang_24", 25, "deviation", "open high low close", "Yang and Zhang (2000)", "With opening gaps"),
    _spec("ewma_volatility", EWMA_TAPS + 1, "deviation", "close", "RiskMetrics (1996)", "Decay 0.94, 256 bars"),
    _spec("volatility_of_volatility", 30, "ratio", "close", "own", "Deviation over mean of realised_6, 24 bars"),
    _spec("bipower_24", 26, "deviation", "close", "Barndorff-Nielsen and Shephard (2004)", "Jump-robust"),
    _spec(
        "jump_share_24",
        26,
        "0..1",
        "close",
        "Barndorff-Nielsen and Shephard (2004)",
        "Share of variance from jumps",
    ),
    _spec("downside_24", 25, "deviation", "close", SEMIVARIANCE, "Root mean of squared falls, rises as 0, 24 bars"),
    _spec("upside_24", 25, "deviation", "close", SEMIVARIANCE, "Root mean of squared rises, falls as 0, 24 bars"),
    _spec(
        "semivariance_balance_24",
        25,
        "-1..1",
        "close",
        "Patton and Sheppard (2015)",
        "Rises' minus falls' share of the squared returns of 24 bars",
    ),
    _spec("volatility_rank_240", 264, "0..1", "close", "definition", "Rank of realised_24 in 240 bars: the regime"),
    _spec("volatility_ratio_6_120", 121, "ratio", "close", "definition", "realised_6 over realised_120"),
    *(
        _spec(
            f"absolute_return_lag_{k}",
            EWMA_TAPS + 1,
            "ratio",
            "close",
            "definition",
            f"|return| {k} bars ago over ewma_volatility",
        )
        for k in (1, 2, 3)
    ),
    _spec(
        "move_adjusted",
        ADJUSTED_WINDOW,
        "ratio",
        "close",
        ADJUSTED,
        "|return| over its usual size at this hour",
    ),
    *(
        _spec(
            f"move_adjusted_{speed}",
            ADJUSTED_WINDOW + length - 1,
            "ratio",
            "close",
            ADJUSTED,
            f"Exponential mean of move_adjusted, span {span}, {length} bars",
        )
        for speed, (span, length) in SPEEDS.items()
    ),
    _spec(
        "range_adjusted",
        ADJUSTED_WINDOW - 1,
        "ratio",
        "high low",
        ADJUSTED,
        "Log range over its usual size at this hour",
    ),
    *(
        _spec(
            f"range_adjusted_{speed}",
            ADJUSTED_WINDOW + length - 2,
            "ratio",
            "high low",
            ADJUSTED,
            f"Exponential mean of range_adjusted, span {span}, {length} bars",
        )
        for speed, (span, length) in SPEEDS.items()
    ),
    *(
        _spec(
            f"move_level_{k}",
            LEVEL + 1,
            "ratio",
            "close",
            "own",
            f"Mean |return| of {k} bars (whole days: no daily shape) over that of {LEVEL}",
        )
        for k in (24, 120)
    ),
    _spec(
        "next_move_profile",
        LEVEL + 1,
        "ratio",
        "close",
        ADJUSTED,
        f"Usual |return| of the bar after this hour over the mean |return| of {LEVEL} bars",
    ),
    _spec(
        "next_move_recent",
        ADJUSTED_WINDOW,
        "ratio",
        "close",
        ADJUSTED,
        "Mean |return| of the bar after this hour in the last 4 sessions over its usual size",
    ),
    _spec(
        "next_range_recent",
        SLOT_WINDOW + 1,
        "ratio",
        "high low",
        ADJUSTED,
        "Mean log range of the bar after this hour in the last 4 sessions over its usual size",
    ),
)


def volatility_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the volatility group, sorted by both. Bars and errors: `compute_features`."""
    from fx_assets.features.engine import compute_features

    return compute_features(bars, ["volatility"])

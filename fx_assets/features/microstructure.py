"""Trading conditions: position in the bar, gaps, implied spreads, tick volume and flow, quotes.

The formulas are in kernels/microstructure.py. A volume or quote that is missing (or no finite figure) in some bars
counts as zero there; a negative volume too.
"""

from __future__ import annotations

import pandas as pd

from fx_assets.features.hour_adjusted import ADJUSTED_WINDOW
from fx_assets.features.spec import FeatureSpec, declare

BULK = "Easley, Lopez de Prado and O'Hara (2012), bulk classification by Student's t with 2 degrees of freedom"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("microstructure", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec("range_position", 1, "0..1", "high low close", "definition", "Close within the bar's range; 0.5 flat"),
    _spec("body_position", 1, "-1..1", "open high low close", "definition", "Close minus open, over the bar's range"),
    _spec("gap", 2, "log price", "open close", "definition", "Open against the previous close"),
    _spec(
        "roll_spread_24",
        26,
        "relative",
        "close",
        "Roll (1984)",
        "Spread implied by bid-ask bounce; 0 if none",
    ),
    _spec(
        "corwin_schultz_24",
        25,
        "relative",
        "high low",
        "Corwin and Schultz (2012)",
        "Spread implied by one- and two-bar ranges, 24-bar mean, negatives as 0",
    ),
    _spec(
        "abdi_ranaldo_24",
        25,
        "relative",
        "high low close",
        "Abdi and Ranaldo (2017)",
        "Spread implied by closes against mid-ranges, 24-bar mean; 0 if none",
    ),
    _spec("zero_return_share_24", 25, "0..1", "close", "Lesmond, Ogden and Trzcinka (1999)", "Bars without a move"),
    _spec(
        "amihud_24",
        25,
        "1e6/tick",
        "close volume",
        "Amihud (2002)",
        "|return| per unit of volume, 24-bar mean",
    ),
    _spec(
        "kyle_lambda_120",
        121,
        "1e6/tick",
        "close volume",
        "Kyle (1985); slope of returns on signed volume",
        "Price impact: least-squares slope, 120 bars, sign of the return as sign of the volume",
    ),
    _spec("order_flow_24", 48, "-1..1", "close volume", BULK, "Bought minus sold volume of 24 bars, over the volume"),
    _spec("vpin_120", 144, "0..1", "close volume", BULK, "|bought minus sold| of each bar, 120 bars, over the volume"),
    _spec(
        "chaikin_money_flow_20",
        20,
        "-1..1",
        "high low close volume",
        "Chaikin",
        "Volume weighted by where the bar closed in its range, over the volume",
    ),
    _spec("volume_zscore_120", 120, "deviations", "volume", "definition", "Log volume against its last 120 bars"),
    _spec("volume_velocity", 24, "ratio", "volume", "definition", "Mean volume of 6 bars over that of 24"),
    _spec(
        "volume_adjusted",
        ADJUSTED_WINDOW - 1,
        "ratio",
        "volume",
        "own",
        "Volume over its trailing median at the same New York time of day",
    ),
    _spec(
        "volume_adjusted_fast",
        ADJUSTED_WINDOW - 1 + 11,
        "ratio",
        "volume",
        "own",
        "Exponential mean (span 3, 12 bars) of volume_adjusted",
    ),
    _spec("spread_bps", 1, "basis points", "bid_close ask_close", "definition", "Quoted spread at the close"),
    _spec("spread_rank_120", 120, "0..1", "bid_close ask_close", "definition", "Rank of spread_bps in 120 bars"),
    _spec(
        "spread_ratio_24",
        24,
        "ratio",
        "bid_close ask_close",
        "definition",
        "spread_bps over its 24-bar mean; 1 flat",
    ),
)


def microstructure_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the microstructure group; an absent optional column drops its features."""
    from fx_assets.features.engine import compute_features

    return compute_features(bars, ["microstructure"])

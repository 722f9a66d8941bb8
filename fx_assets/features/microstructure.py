"""Trading conditions in a bar: position in the range, gaps, implied spreads, tick volume, quotes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.blocks import Block, apply, exponential, lag, log_ratio, ratio
from fx_assets.features.hour_adjusted import ADJUSTED_WINDOW, adjusted
from fx_assets.features.spec import FeatureSpec, declare

CORWIN_CONSTANT = 3.0 - 2.0 * np.sqrt(2.0)


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("microstructure", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec("range_position", 1, "0..1", "high low close", "definition", "Close within the bar's range; 0.5 flat"),
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
        "amihud_24",
        25,
        "1e6/tick",
        "close volume",
        "Amihud (2002)",
        "|return| per unit of volume, 24-bar mean",
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
)


def microstructure_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the microstructure group; an absent optional column drops its features."""
    return apply(bars, [compute])


def compute(block: Block) -> dict[str, np.ndarray]:
    """The microstructure features of one instrument, each float64 (n,)."""
    out = {
        "range_position": ratio(block.close - block.low, block.high - block.low, default=0.5),
        "gap": log_ratio(block.open, lag(block.close, 1)),
        "roll_spread_24": _roll(block.log_return),
        "corwin_schultz_24": _corwin_schultz(block),
    }
    if block.volume is not None:
        out |= _volume(block, block.volume)
    if block.bid_close is not None and block.ask_close is not None:
        out |= _quotes(block.bid_close, block.ask_close)
    return out


def _roll(change: np.ndarray) -> np.ndarray:
    from fx_assets.features.kernels import weighted_mean

    flat = np.ones(24)
    before = lag(change, 1)
    covariance = weighted_mean(change * before, flat) - weighted_mean(change, flat) * weighted_mean(before, flat)
    return 2.0 * np.sqrt(np.maximum(-covariance, 0.0))


def _corwin_schultz(block: Block) -> np.ndarray:
    from fx_assets.features.kernels import weighted_mean

    single = log_ratio(block.high, block.low) ** 2
    beta = single + lag(single, 1)
    top = np.maximum(block.high, lag(block.high, 1))
    bottom = np.minimum(block.low, lag(block.low, 1))
    gamma = log_ratio(top, bottom) ** 2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / CORWIN_CONSTANT - np.sqrt(gamma / CORWIN_CONSTANT)
    # 2 (e^a - 1) / (1 + e^a), written as a hyperbolic tangent so that a large alpha cannot overflow
    return weighted_mean(np.maximum(2.0 * np.tanh(alpha / 2.0), 0.0), np.ones(24))


def _volume(block: Block, volume: np.ndarray) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import moments, weighted_mean

    logged = np.log1p(np.maximum(volume, 0.0))
    mean, deviation, _ = moments(logged, 120)
    against_hour = adjusted(volume, block.slot)
    return {
        "amihud_24": weighted_mean(ratio(1e6 * np.abs(block.log_return), volume), np.ones(24)),
        "volume_zscore_120": ratio(logged - mean, deviation),
        "volume_velocity": ratio(weighted_mean(volume, np.ones(6)), weighted_mean(volume, np.ones(24))),
        "volume_adjusted": against_hour,
        "volume_adjusted_fast": weighted_mean(against_hour, exponential(3, 12)),
    }


def _quotes(bid: np.ndarray, ask: np.ndarray) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import rank

    spread = ratio(1e4 * (ask - bid), (ask + bid) / 2.0)
    return {"spread_bps": spread, "spread_rank_120": rank(spread, 120)}

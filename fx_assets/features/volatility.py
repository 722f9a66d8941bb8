"""Volatility per bar (never annualised): close-to-close, range-based, jumps, moves against their hour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.blocks import Block, apply, exponential, lag, log_change, log_ratio, ratio
from fx_assets.features.hour_adjusted import ADJUSTED_WINDOW, SLOT_WINDOW, adjusted, following
from fx_assets.features.spec import FeatureSpec, declare

EWMA_DECAY = 0.94
EWMA_LENGTH = 100
LEVEL = 480
SPEEDS = {"fast": (3, 12), "medium": (12, 48), "slow": (30, 120)}
ADJUSTED = "own; the daily shape of volatility: Andersen and Bollerslev (1997)"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("volatility", name, window, unit, requires, source, description)


SPECS: tuple[FeatureSpec, ...] = (
    *(
        _spec(f"realised_{k}", k + 1, "deviation", "close", "definition", f"Root mean squared return, {k} bars")
        for k in (6, 24, 120)
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
    _spec("ewma_volatility", EWMA_LENGTH + 1, "deviation", "close", "RiskMetrics (1996)", "Decay 0.94, 100 bars"),
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
    _spec("volatility_ratio_6_120", 121, "ratio", "close", "definition", "realised_6 over realised_120"),
    *(
        _spec(
            f"absolute_return_lag_{k}",
            EWMA_LENGTH + 1,
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
    """instrument, time and the volatility group, sorted by both. Bars and errors: `blocks.apply`."""
    return apply(bars, [compute])


def compute(block: Block) -> dict[str, np.ndarray]:
    """The volatility features of one instrument, each float64 (n,)."""
    return _close_to_close(block.log_return) | _range_based(block) | _hour_adjusted(block)


def _root_mean(values: np.ndarray, window: int) -> np.ndarray:
    from fx_assets.features.kernels import weighted_mean

    return np.sqrt(np.maximum(weighted_mean(values, np.ones(window)), 0.0))


def _close_to_close(change: np.ndarray) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import moments, weighted_mean

    squares = change * change
    realised = {k: _root_mean(squares, k) for k in (6, 24, 120)}
    decayed = weighted_mean(squares, EWMA_DECAY ** np.arange(EWMA_LENGTH))
    ewma = np.sqrt(np.maximum(decayed, 0.0))
    mean, deviation, _ = moments(realised[6], 24)
    bipower = np.pi / 2.0 * weighted_mean(np.abs(change) * np.abs(lag(change, 1)), np.ones(24))
    total = realised[24] ** 2
    out = {f"realised_{k}": value for k, value in realised.items()}
    out |= {
        "ewma_volatility": ewma,
        "volatility_of_volatility": ratio(deviation, mean),
        "bipower_24": np.sqrt(np.maximum(bipower, 0.0)),
        "jump_share_24": np.clip(ratio(total - bipower, total), 0.0, 1.0),
        "volatility_ratio_6_120": ratio(realised[6], realised[120]),
    }
    out |= {f"absolute_return_lag_{k}": ratio(np.abs(lag(change, k)), ewma) for k in (1, 2, 3)}
    return out


def _range_based(block: Block) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import moments

    n = 24
    span = log_ratio(block.high, block.low) ** 2
    body = log_ratio(block.close, block.open)
    upper, lower = log_ratio(block.high, block.open), log_ratio(block.low, block.open)
    satchell = upper * (upper - body) + lower * (lower - body)
    overnight = log_ratio(block.open, lag(block.close, 1))
    sample = n / (n - 1.0)
    _, opening, _ = moments(overnight, n)
    _, closing, _ = moments(body, n)
    drift_free = _root_mean(satchell, n)
    k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    variance = sample * opening**2 + k * sample * closing**2 + (1.0 - k) * drift_free**2
    return {
        "parkinson_24": _root_mean(span, n) / np.sqrt(4.0 * np.log(2.0)),
        "garman_klass_24": _root_mean(0.5 * span - (2.0 * np.log(2.0) - 1.0) * body**2, n),
        "rogers_satchell_24": drift_free,
        "yang_zhang_24": np.sqrt(variance),
    }


def _hour_adjusted(block: Block) -> dict[str, np.ndarray]:
    from fx_assets.features.kernels import weighted_mean

    size = np.abs(log_change(block.close, 1))
    span = log_ratio(block.high, block.low)
    out = {"move_adjusted": adjusted(size, block.slot), "range_adjusted": adjusted(span, block.slot)}
    for name in ("move_adjusted", "range_adjusted"):
        for speed, (width, length) in SPEEDS.items():
            out[f"{name}_{speed}"] = weighted_mean(out[name], exponential(width, length))
    level = weighted_mean(size, np.ones(LEVEL))
    out |= {f"move_level_{k}": ratio(weighted_mean(size, np.ones(k)), level) for k in (24, 120)}
    usual, recent = following(size, block.slot)
    usual_range, recent_range = following(span, block.slot)
    out["next_move_profile"] = ratio(usual, level)
    out["next_move_recent"] = ratio(recent, usual, limit=10.0)
    out["next_range_recent"] = ratio(recent_range, usual_range, limit=10.0)
    return out

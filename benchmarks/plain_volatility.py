"""Volatility in plain pandas; see plain_pandas.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.plain_technical import Columns, log, root

SESSIONS, RECENT, SLOT_WINDOW, MINIMUM, FALLBACK = 16, 4, 384, 5, 120
SPEEDS = {"fast": (3, 12), "medium": (12, 48), "slow": (30, 120)}


def volatility(bars: pd.DataFrame) -> Columns:
    """The group volatility."""
    return {**_of_returns(bars), **_of_ranges(bars), **_against_the_hour(bars)}


def _of_returns(bars: pd.DataFrame) -> Columns:
    change = log(bars["close"]).diff()
    realised = {k: root((change**2).rolling(k).mean()) for k in (6, 24, 48, 120, 240)}
    ewma = root(faded(change**2, 2 / 0.06 - 1, 256))
    rises, falls = (change.clip(lower=0) ** 2).rolling(24).mean(), (change.clip(upper=0) ** 2).rolling(24).mean()
    bipower = np.pi / 2 * (change.abs() * change.abs().shift()).rolling(24).mean()
    out = {f"realised_{k}": value for k, value in realised.items()}
    out["ewma_volatility"] = ewma
    out["volatility_of_volatility"] = realised[6].rolling(24).std(ddof=0) / realised[6].rolling(24).mean()
    out["bipower_24"] = root(bipower)
    out["jump_share_24"] = (1 - bipower / (change**2).rolling(24).mean()).clip(0, 1)
    out["downside_24"], out["upside_24"] = root(falls), root(rises)
    out["semivariance_balance_24"] = (rises - falls) / (rises + falls)
    out["volatility_rank_240"] = rank(realised[24], 240)
    out["volatility_ratio_6_120"] = realised[6] / realised[120]
    for k in (1, 2, 3):
        out[f"absolute_return_lag_{k}"] = change.shift(k).abs() / ewma
    return out


def _of_ranges(bars: pd.DataFrame) -> Columns:
    opened, high, low, close = (log(bars[name]) for name in ("open", "high", "low", "close"))
    garman = 0.5 * (high - low) ** 2 - (2 * np.log(2) - 1) * (close - opened) ** 2
    rogers = ((high - close) * (high - opened) + (low - close) * (low - opened)).rolling(24).mean()
    k = 0.34 / (1.34 + 25 / 23)
    overnight = (opened - close.shift()).rolling(24).var()
    return {
        "parkinson_24": root(((high - low) ** 2).rolling(24).mean() / (4 * np.log(2))),
        "garman_klass_24": root(garman.rolling(24).mean()),
        "rogers_satchell_24": root(rogers),
        "yang_zhang_24": root(overnight + k * (close - opened).rolling(24).var() + (1 - k) * rogers),
    }


def rank(values: pd.Series, window: int) -> pd.Series:
    """Share of the window's other values that are below the newest, ties counted half."""
    return (values.rolling(window).rank(method="average") - 1) / (window - 1)


def faded(values: pd.Series, span: float, length: int) -> pd.Series:
    """The exponential mean of the last `length` values: the endless one, less what it holds of older ones."""
    endless, left = values.ewm(span=span, adjust=False).mean(), (1 - 2 / (span + 1)) ** length
    return (endless - left * endless.shift(length)) / (1 - left)


def same_slot(time: pd.Series) -> list[pd.Series]:
    """For each bar the rows of the newest, second newest, ... earlier bars of the same New York time of day.

    At most 16, none further back than 384 bars; NaN where there is no such bar. Those that no bar has are left out.
    """
    clock = time.dt.tz_convert("America/New_York")
    slot = clock.dt.hour * 60 + clock.dt.minute
    row = pd.Series(np.arange(len(time), dtype=float), index=time.index)
    groups, found = row.groupby(slot), []
    for k in range(1, SESSIONS + 1):
        before = groups.shift(k)
        before = before.where(row - before <= SLOT_WINDOW)
        if before.isna().all():
            break  # bars of a minute: no slot comes again within the window
        found.append(before)
    return found


def of_hour(values: pd.Series, fallback: pd.Series, slots: list[pd.Series]) -> tuple[pd.Series, pd.Series]:
    """Median of 16 and mean of the newest 4 `values` of earlier bars of the same New York time of day.

    values: what is collected. fallback: used where there are too few such bars, as `lately` gives it.
    slots: as `same_slot` gives them.
    """
    if len(slots) < MINIMUM:
        return fallback, fallback
    columns = [pd.Series(values.reindex(rows).to_numpy(), index=values.index) for rows in slots]
    table = pd.concat(columns, axis=1)
    enough = table.notna().sum(axis=1) >= MINIMUM
    median, mean = table.median(axis=1), table.iloc[:, :RECENT].mean(axis=1)
    return median.where(enough, fallback), mean.where(enough, fallback)


def lately(values: pd.Series) -> pd.Series:
    """Median of the bars before."""
    return values.shift().rolling(FALLBACK).median()


def adjusted(values: pd.Series, fallback: pd.Series, slots: list[pd.Series]) -> pd.Series:
    """Values over their usual size at this New York time of day, at most 10."""
    return (values / of_hour(values, fallback, slots)[0]).clip(upper=10.0)


def _against_the_hour(bars: pd.DataFrame) -> Columns:
    slots = same_slot(bars["time"])
    size = log(bars["close"]).diff().abs()
    span = log(bars["high"] / bars["low"])
    before, before_range = lately(size), lately(span)
    out = {"move_adjusted": adjusted(size, before, slots), "range_adjusted": adjusted(span, before_range, slots)}
    for name in ("move_adjusted", "range_adjusted"):
        for speed, (bars_, length) in SPEEDS.items():
            out[f"{name}_{speed}"] = faded(out[name], bars_, length)
    level = size.rolling(480).mean()
    for k in (24, 120):
        out[f"move_level_{k}"] = size.rolling(k).mean() / level
    usual, recent = of_hour(size.shift(-1), before, slots)
    usual_range, recent_range = of_hour(span.shift(-1), before_range, slots)
    out["next_move_profile"] = usual / level
    out["next_move_recent"] = (recent / usual).clip(upper=10.0)
    out["next_range_recent"] = (recent_range / usual_range).clip(upper=10.0)
    return out

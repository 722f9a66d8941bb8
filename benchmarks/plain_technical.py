"""Price indicators in plain pandas; see plain_pandas.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd

Columns = dict[str, pd.Series]


def log(values: pd.Series) -> pd.Series:
    """np.log; the stubs of pandas lose the series on the way."""
    return cast(pd.Series, np.log(values))


def sign(values: pd.Series) -> pd.Series:
    """np.sign, in the same way."""
    return cast(pd.Series, np.sign(values))


def root(values: pd.Series) -> pd.Series:
    """np.sqrt, in the same way."""
    return cast(pd.Series, np.sqrt(values))


def wilder(values: pd.Series, period: int) -> pd.Series:
    """Wilder's smoothing."""
    return values.ewm(alpha=1 / period).mean()


def technical(bars: pd.DataFrame, windows: bool = False) -> Columns:
    """The group technical. windows: numpy's windows instead of apply in the three indicators that pandas has not."""
    parts = (_momentum(bars), _averages(bars), _oscillators(bars, windows), _extremes(bars, windows))
    return {name: values for part in (*parts, _directional(bars), _flow(bars)) for name, values in part.items()}


def _momentum(bars: pd.DataFrame) -> Columns:
    close = bars["close"]
    out = {f"log_return_{k}": log(close).diff(k) for k in (1, 2, 3, 6, 12, 24, 48, 120, 240, 360)}
    out["roc_10"] = close.pct_change(10)
    return out


def _averages(bars: pd.DataFrame) -> Columns:
    close = bars["close"]
    ema = {k: close.ewm(span=k).mean() for k in (12, 26, 50)}
    line = ema[12] - ema[26]
    macd, signal = line / close, line.ewm(span=9).mean() / close
    mean, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    out = {"macd": macd, "macd_signal": signal, "macd_histogram": macd - signal}
    out["bollinger_position"] = (close - (mean - 2 * deviation)) / (4 * deviation)
    out["bollinger_width"] = 4 * deviation / mean
    for k in (20, 50, 200):
        out[f"sma_distance_{k}"] = close / close.rolling(k).mean() - 1
    for k in (12, 26, 50):
        out[f"ema_distance_{k}"] = close / ema[k] - 1
    out["kama_distance_10"] = close / _kama(close) - 1
    return out


def _kama(close: pd.Series) -> pd.Series:
    """Kaufman's adaptive mean: there is no way around a loop, which is quickest over plain lists."""
    change = close.diff().abs()
    efficiency = (close.diff(10).abs() / change.rolling(10).sum()).fillna(0.0)
    shares = ((efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2).tolist()
    values = close.tolist()
    mean, out = values[0], []
    for value, share in zip(values, shares, strict=True):
        mean += share * (value - mean)
        out.append(mean)
    return pd.Series(out, index=close.index)


def _since(values: pd.Series, window: int, newest: Callable[..., np.ndarray], windows: bool) -> pd.Series:
    """Bars since the window's highest (np.argmax) or lowest (np.argmin) value, the newest of equals."""
    if not windows:
        return values.rolling(window).apply(lambda x: newest(x[::-1]), raw=True)
    if len(values) < window:
        return pd.Series(np.nan, index=values.index)
    since = newest(np.lib.stride_tricks.sliding_window_view(values.to_numpy(), window)[:, ::-1], axis=1)
    return pd.Series(since, index=values.index[window - 1 :]).reindex(values.index)


def _spread(values: pd.Series, window: int, windows: bool) -> pd.Series:
    """Mean distance of the window's values from their mean."""
    if not windows:
        return values.rolling(window).apply(lambda x: np.abs(x - x.mean()).mean(), raw=True)
    mean = values.rolling(window).mean()
    return sum(((values.shift(k) - mean).abs() for k in range(1, window)), (values - mean).abs()) / window


def _oscillators(bars: pd.DataFrame, windows: bool) -> Columns:
    high, low, close = bars["high"], bars["low"], bars["close"]
    change = close.diff()
    up, down = wilder(change.clip(lower=0), 14), wilder((-change).clip(lower=0), 14)
    top, bottom = high.rolling(14).max(), low.rolling(14).min()
    stochastic = 100 * (close - bottom) / (top - bottom)
    typical = (high + low + close) / 3
    return {
        "rsi_14": 100 * up / (up + down),
        "stochastic_k": stochastic,
        "stochastic_d": stochastic.rolling(3).mean(),
        "cci_20": (typical - typical.rolling(20).mean()) / (0.015 * _spread(typical, 20, windows)),
    }


def _extremes(bars: pd.DataFrame, windows: bool) -> Columns:
    high, low, close = bars["high"], bars["low"], bars["close"]
    top, bottom = high.rolling(28).max(), low.rolling(28).min()
    since_high, since_low = _since(high, 26, np.argmax, windows), _since(low, 26, np.argmin, windows)
    up, down = 100 * (25 - since_high) / 25, 100 * (25 - since_low) / 25
    out = {"williams_r_28": -100 * (top - close) / (top - bottom)}
    out |= {"aroon_25": up - down, "aroon_up_25": up, "aroon_down_25": down}
    for k in (20, 55):
        top, bottom = high.rolling(k).max(), low.rolling(k).min()
        out[f"donchian_position_{k}"] = (close - bottom) / (top - bottom)
    return out


def _directional(bars: pd.DataFrame) -> Columns:
    high, low, close = bars["high"], bars["low"], bars["close"]
    before = close.shift()
    spans = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1)
    average = wilder(spans.max(axis=1).where(before.notna()), 14)
    up, down = high.diff(), -low.diff()
    plus = 100 * wilder(up.where((up > down) & (up > 0), 0.0).where(before.notna()), 14) / average
    minus = 100 * wilder(down.where((down > up) & (down > 0), 0.0).where(before.notna()), 14) / average
    return {
        "atr_14": average / close,
        "adx_14": wilder(100 * (plus - minus).abs() / (plus + minus), 14),
        "plus_di_14": plus,
        "minus_di_14": minus,
    }


def _flow(bars: pd.DataFrame) -> Columns:
    close, volume = bars["close"], bars["volume"]
    typical = (bars["high"] + bars["low"] + close) / 3
    change, money = typical.diff(), typical * volume
    rounding = 1e-12 * typical
    bought = money.where(change > rounding, 0.0).where(change.notna()).rolling(14).sum()
    sold = money.where(change < -rounding, 0.0).where(change.notna()).rolling(14).sum()
    balance = (sign(close.diff()) * volume).cumsum()
    out = {"mfi_14": 100 * bought / (bought + sold)}
    for k in (24, 120):
        out[f"obv_{k}"] = balance.diff(k) / volume.rolling(k).sum()
        out[f"vwap_distance_{k}"] = close / (money.rolling(k).sum() / volume.rolling(k).sum()) - 1
    return out

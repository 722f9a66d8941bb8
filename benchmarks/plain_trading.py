"""Trading conditions in plain pandas; see plain_pandas.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.plain_technical import Columns, log, root, sign
from benchmarks.plain_volatility import adjusted, faded, lately, rank, same_slot


def microstructure(bars: pd.DataFrame) -> Columns:
    """The group microstructure."""
    return {**_prices(bars), **_volume(bars), **_quotes(bars)}


def _prices(bars: pd.DataFrame) -> Columns:
    high, low, close = bars["high"], bars["low"], bars["close"]
    change = log(close).diff()
    before = change.shift()
    covariance = (change * before).rolling(24).mean() - change.rolling(24).mean() * before.rolling(24).mean()
    share = 3 - 2 * np.sqrt(2)
    beta = (log(high / low) ** 2).rolling(2).sum()
    gamma = log(high.rolling(2).max() / low.rolling(2).min()) ** 2
    alpha = (root(2 * beta) - root(beta)) / share - root(gamma / share)
    corwin = (2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))).clip(lower=0)
    middle = log(high * low) / 2
    apart = ((log(close) - middle) * (log(close) - middle.shift(-1))).shift()
    return {
        "range_position": ((close - low) / (high - low)).fillna(0.5),
        "body_position": ((close - bars["open"]) / (high - low)).fillna(0.0),
        "abdi_ranaldo_24": 2 * root(apart.rolling(24).mean().clip(lower=0)),
        "zero_return_share_24": (change == 0).astype(float).where(change.notna()).rolling(24).mean(),
        "gap": log(bars["open"] / close.shift()),
        "roll_spread_24": 2 * root((-covariance).clip(lower=0)),
        "corwin_schultz_24": corwin.rolling(24).mean(),
    }


def _volume(bars: pd.DataFrame) -> Columns:
    volume = bars["volume"]
    change = log(bars["close"]).diff()
    logged = log(1 + volume)
    against_hour = adjusted(volume, lately(volume), same_slot(bars["time"]))
    high, low, close = bars["high"], bars["low"], bars["close"]
    signed = sign(change) * volume
    # Student's distribution with two degrees of freedom has this closed form: bought less sold, as a share.
    score = change / root((change**2).rolling(24).mean())
    bought = volume * score / root(2 + score**2)
    inside = ((2 * close - high - low) / (high - low)).fillna(0.0)
    return {
        "amihud_24": (1e6 * change.abs() / volume).rolling(24).mean(),
        "kyle_lambda_120": 1e6 * change.rolling(120).cov(signed) / signed.rolling(120).var(),
        "order_flow_24": bought.rolling(24).sum() / volume.rolling(24).sum(),
        "vpin_120": bought.abs().rolling(120).sum() / volume.rolling(120).sum(),
        "chaikin_money_flow_20": (inside * volume).rolling(20).sum() / volume.rolling(20).sum(),
        "volume_zscore_120": (logged - logged.rolling(120).mean()) / logged.rolling(120).std(ddof=0),
        "volume_velocity": volume.rolling(6).mean() / volume.rolling(24).mean(),
        "volume_adjusted": against_hour,
        "volume_adjusted_fast": faded(against_hour, 3, 12),
    }


def _quotes(bars: pd.DataFrame) -> Columns:
    bid, ask = bars["bid_close"], bars["ask_close"]
    spread = 1e4 * (ask - bid) / ((ask + bid) / 2)
    return {
        "spread_bps": spread,
        "spread_rank_120": rank(spread, 120),
        "spread_ratio_24": spread / spread.rolling(24).mean(),
    }

"""What a currency is worth in this market, hour by hour: level, volatility, regime, shocks.

A pair is the quotient of two currencies, so that crosses agree: EUR_JPY = EUR_USD x USD_JPY.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fx_assets.synthetic import numbers, weeks

# Worth in US dollars around which a currency moves, and its weekly volatility. Others get theirs from their name.
KNOWN = {
    "USD": (1.0, 0.0055),
    "EUR": (1.12, 0.0060),
    "GBP": (1.30, 0.0075),
    "JPY": (1 / 118, 0.0080),
    "CHF": (1.08, 0.0070),
    "AUD": (0.71, 0.0085),
    "NZD": (0.66, 0.0088),
    "CAD": (0.76, 0.0065),
    "SEK": (0.11, 0.0085),
    "NOK": (0.11, 0.0090),
    "SGD": (0.74, 0.0040),
    "CNH": (0.145, 0.0035),
    "MXN": (0.05, 0.0110),
    "ZAR": (0.06, 0.0150),
    "TRY": (0.05, 0.0180),
    "XAU": (1800.0, 0.0180),
    "XAG": (24.0, 0.0320),
    "BTC": (40000.0, 0.0700),
    "ETH": (2500.0, 0.0850),
    "USDT": (1.0, 0.0008),
}
ASIA = ("JPY", "AUD", "NZD", "SGD", "CNH", "HKD", "KRW", "INR")
AMERICA = ("USD", "CAD", "MXN", "BRL")

# Levels forget a week's move by half in 2.7 years, so that no price runs away: 8 % of standard deviation.
PULL, PULL_DOUBLINGS = 0.995, 10
GAP = 0.15  # of a week's volatility, from Friday's close to Sunday's open

# Calm, normal, turbulent. A regime lasts two days on average, and is drawn anew in the first hour of every eighth week.
REGIMES = ("calm", "normal", "turbulent")
REGIME_VOLATILITY = np.array([0.6, 1.0, 2.0])
REGIME_SHARE = np.cumsum([0.35, 0.5])
REGIME_CHANGE = 1 / 48
REGIME_WEEKS = 8

CLUSTER, CLUSTER_DOUBLINGS, CLUSTER_SIZE = 0.94, 6, 0.30
AFTERSHOCK, AFTERSHOCK_DOUBLINGS = 0.75, 5
SHOCKS_PER_WEEK = 2.5
SHOCK_SIZE = 3.0  # of an hour's standard deviation
LOOKBACK_HOURS = 2**CLUSTER_DOUBLINGS


@dataclass(frozen=True)
class Hourly:
    """A currency over n weeks. level: (n, 121) log of its worth at every hour's edge, weekend gaps between rows.

    The rest is (n, 120): deviation, the standard deviation of the hour's ordinary move; shock, the jump in it, 0 for
    none; minute, when it came; regime, an index into REGIMES.
    """

    level: np.ndarray
    deviation: np.ndarray
    shock: np.ndarray
    minute: np.ndarray
    regime: np.ndarray


@lru_cache(maxsize=64)
def properties(currency: str) -> tuple[float, float]:
    """(log of the worth in dollars, weekly volatility)."""
    if currency in KNOWN:
        worth, volatility = KNOWN[currency]
    else:
        index = np.array([0, 1])
        price, risk = numbers.uniform(numbers.key(0, "properties", currency), index)
        worth, volatility = 10.0 ** (3 * price - 1), 0.006 + 0.02 * risk
    return float(np.log(worth)), volatility


@lru_cache(maxsize=64)
def season(currency: str) -> np.ndarray:
    """How lively each of the 24 hours from 17:00 New York is; the mean of the squares is 1."""
    hour = np.arange(24.0)

    def bump(centre: float, width: float, height: float) -> np.ndarray:
        return height * np.exp(-(((hour - centre) / width) ** 2))

    asia = 1.0 if currency in ASIA else 0.35
    america = 1.0 if currency in AMERICA else 0.7
    shape = 0.35 + bump(3.5, 2.5, 0.8 * asia) + bump(10.5, 2.5, 0.9) + bump(16.0, 2.2, 1.3 * america)
    shape[0] *= 0.6
    return shape / np.sqrt(np.mean(shape**2))


def hourly(seed: int, currency: str, first: int, last: int) -> Hourly:
    """The weeks first .. last - 1."""
    n = last - first
    shape = (n, weeks.HOURS)
    start, stop = first * weeks.HOURS, last * weeks.HOURS
    hours = np.arange(start, stop)
    _, weekly = properties(currency)
    base = weekly / weeks.HOURS**0.5 * np.tile(season(currency), 5)

    def stream(what: str) -> int:
        return numbers.key(seed, what, currency)

    mood = numbers.normal(stream("mood"), np.arange(start - LOOKBACK_HOURS + 1, stop))
    mood = numbers.fading(mood, CLUSTER, CLUSTER_DOUBLINGS) * (CLUSTER_SIZE * (1 - CLUSTER**2) ** 0.5)
    regime = _regime(stream("regime"), stream("regime change"), first, last)
    surprise, minute = shocks(seed, currency, start - 2**AFTERSHOCK_DOUBLINGS, stop)
    # The hour after a shock is the first that it makes wilder: the shock's own hour has the jump.
    wild = numbers.fading(np.abs(surprise[:-1]), AFTERSHOCK, AFTERSHOCK_DOUBLINGS) * 0.35
    scale = np.exp(mood - CLUSTER_SIZE**2 / 2) * REGIME_VOLATILITY[regime] * (1 + wild)
    deviation = base * scale.reshape(shape) * 0.85
    shock = SHOCK_SIZE * surprise[-n * weeks.HOURS :].reshape(shape) * base
    moves = np.cumsum(deviation * numbers.normal(stream("move"), hours).reshape(shape) + shock, axis=1)
    share = np.cumsum(deviation**2, axis=1)
    opened, closed = _edges(seed, currency, first, last)
    # The week ends where its level says: what is amiss is spread over it as its variance is.
    amiss = (closed - opened) - moves[:, -1]
    level = np.empty((n, weeks.HOURS + 1))
    level[:, 0] = opened
    level[:, 1:] = opened[:, None] + moves + amiss[:, None] * (share / share[:, -1:])
    minute = minute[-n * weeks.HOURS :].reshape(shape)
    return Hourly(level, deviation, shock, minute, regime.reshape(shape))


def shocks(seed: int, currency: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """(surprise, minute) of the hours start .. stop - 1: signed, 0 where there was no news that moved the price."""
    hours = np.arange(start, stop)
    size = numbers.normal(numbers.key(seed, "surprise", currency), hours)
    # Most figures are published around London's and New York's mornings.
    chance = SHOCKS_PER_WEEK / weeks.HOURS * np.tile(season(currency) ** 2, 5)
    here = numbers.uniform(numbers.key(seed, "news", currency), hours) < chance[hours % weeks.HOURS]
    minute = (numbers.uniform(numbers.key(seed, "minute", currency), hours) * 12).astype("int64") * 5
    return np.where(here, np.sign(size) * (0.5 + np.abs(size)), 0.0), minute


def _edges(seed: int, currency: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Log worth at the open and the close of each week."""
    anchor, weekly = properties(currency)
    reach = 2**PULL_DOUBLINGS
    every = np.arange(first - reach, last)
    gap = numbers.normal(numbers.key(seed, "gap", currency), every) * (weekly * GAP)
    innovation = gap + numbers.normal(numbers.key(seed, "week", currency), every) * (weekly * (1 - GAP**2) ** 0.5)
    closes = anchor + numbers.fading(innovation, PULL, PULL_DOUBLINGS)  # of the weeks first - 1 .. last - 1
    return closes[:-1] + gap[reach:], closes[1:]


def _regime(draw: int, change: int, first: int, last: int) -> np.ndarray:
    """The regime of each hour: that of the last change at or before it."""
    whole = first - first % REGIME_WEEKS
    hours = np.arange(whole * weeks.HOURS, last * weeks.HOURS)
    changed = numbers.uniform(change, hours) < REGIME_CHANGE
    changed |= hours % (REGIME_WEEKS * weeks.HOURS) == 0
    since = np.maximum.accumulate(np.where(changed, np.arange(len(hours)), 0))
    drawn = np.searchsorted(REGIME_SHARE, numbers.uniform(draw, hours[since]))
    return drawn[(first - whole) * weeks.HOURS :]

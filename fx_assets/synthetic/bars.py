"""Candles of a pair of currencies, of any granularity and range.

Prices follow Brownian bridges between the hours' edges, so that opens and closes agree across granularities. Highs
and lows are drawn from the distribution of a bridge's extremes (Glasserman 2004, section 6.4), once for M1, once for
M5 (M15 and M30 are made of these), once for H1 (likewise H4 and D).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fx_assets.synthetic import numbers, weeks
from fx_assets.synthetic.currencies import Hourly, hourly, properties, season

# Granularity in minutes -> that of the bars it is made of.
BASE = {1: 1, 5: 5, 15: 5, 30: 5, 60: 60, 240: 60, 1440: 60}
WEEKS_AT_ONCE = {1: 4, 5: 16, 60: 128}  # arrays that stay in a processor's cache
OUTAGE_CHANCE, OUTAGE_MINUTES = 0.15, (5, 150)
MISSING = {1: 0.002, 5: 0.0002, 60: 0.0}  # bars without a single tick, at an ordinary hour
SPREAD = 0.00009  # of the price, at an ordinary hour, of two ordinary currencies
TICKS_PER_MINUTE = 40.0


@dataclass(frozen=True)
class Bars:
    """Columns of equal length. time: microseconds since 1970, UTC. Prices are middle prices, on the grid of points."""

    time: np.ndarray
    columns: dict[str, np.ndarray]


def bars(seed: int, base: str, quote: str, minutes: int, first: int, last: int, closed: np.ndarray) -> Bars:
    """The bars of the weeks first .. last - 1 that have ticks.

    minutes: a key of BASE. closed: (k, 2) microseconds, from and to, in which the market has a holiday.
    """
    step = WEEKS_AT_ONCE[BASE[minutes]]
    # Cut at multiples of the step, not at `first`: the same weeks are always made together.
    edges = [first, *range(first - first % step + step, last, step), last]
    parts = [_weeks(seed, base, quote, minutes, a, b, closed) for a, b in pairwise(edges) if a < b]
    names = parts[0].columns if parts else {}
    return Bars(
        np.concatenate([p.time for p in parts]) if parts else np.empty(0, "int64"),
        {name: np.concatenate([p.columns[name] for p in parts]) for name in names},
    )


def _weeks(seed: int, base: str, quote: str, minutes: int, first: int, last: int, closed: np.ndarray) -> Bars:
    length = BASE[minutes]
    count = weeks.MINUTES // length
    index = np.arange(first * count, last * count).reshape(last - first, count)
    one, other = (hourly(seed, c, first, last) for c in (base, quote))
    levels = [_path(seed, c, h, length, first, last) for c, h in ((base, one), (quote, other))]
    path = levels[0] - levels[1]
    per_hour = max(60 // length, 1)
    variance = np.repeat((one.deviation**2 + other.deviation**2) / per_hour, per_hour, axis=1)
    opened, closing = path[:, :-1], path[:, 1:]
    move = closing - opened

    def stream(what: str) -> int:
        return numbers.key(seed, what, base, quote, length)

    def extreme(what: str) -> np.ndarray:
        return np.sqrt(move**2 - 2 * variance * np.log(numbers.uniform(stream(what), index)))

    middle = (opened + closing) / 2
    log_prices = (opened, middle + extreme("high") / 2, middle - extreme("low") / 2, closing)
    time = weeks.opens(first, last)[:, None] + np.arange(count) * (length * 60_000_000)
    live = _live(seed, length, index, time, closed)
    # How much livelier than usual the hour is: 1 on average.
    usual = (properties(base)[1] ** 2 + properties(quote)[1] ** 2) / weeks.HOURS
    lively = np.sqrt(variance * (per_hour / usual))
    spread = _spread(stream("spread"), base, quote, index, lively, length)
    digits = points(base, quote)
    scale = 10.0**digits
    o, h, low, c = (np.maximum(np.rint(np.exp(p) * scale), 2.0) for p in log_prices)
    h, low = np.maximum(h, np.maximum(o, c)), np.minimum(low, np.minimum(o, c))
    half = np.minimum(np.maximum(np.rint(np.exp(opened) * scale * spread / 2), 1.0), low - 1)
    ticks = np.rint(TICKS_PER_MINUTE * length * lively * (1 + 0.3 * numbers.normal(stream("ticks"), index)))
    volume = np.maximum(ticks, 1.0)
    columns = {"open": o, "high": h, "low": low, "close": c, "half": half, "volume": volume}
    if minutes != length:
        time, live, columns = _joined(minutes // length, time, live, columns)
    kept = {name: values[live] for name, values in columns.items()}
    return Bars(time[live], _priced(kept, scale))


def points(base: str, quote: str) -> int:
    """Decimals of a price: about six figures, as brokers quote."""
    around = properties(base)[0] - properties(quote)[0]
    return int(np.clip(5 - np.floor((around + 0.3) / np.log(10)), 1, 8))


def _path(seed: int, currency: str, hours: Hourly, length: int, first: int, last: int) -> np.ndarray:
    """Log worth at every bar's edge, (n, bars in a week + 1): bridges between the hours' edges."""
    if length == 60:
        return hours.level
    # From hours to five minutes; a shock's jump happens at its minute, the bridge is of the rest.
    jump, minute = hours.shock[:, :, None], hours.minute[:, :, None]
    fives = np.arange(1, 13)
    start, move = hours.level[:, :-1, None], (hours.level[:, 1:] - hours.level[:, :-1])[:, :, None]
    index = np.arange(first * 1440, last * 1440).reshape(last - first, weeks.HOURS, 12)
    noise = numbers.normal(numbers.key(seed, "five", currency), index) * (hours.deviation / 12**0.5)[:, :, None]
    walk = np.cumsum(noise, axis=2)
    bridge = walk - walk[:, :, -1:] * (fives / 12) + (move - jump) * (fives / 12)
    inner = start + bridge + jump * (fives * 5 > minute)
    inner[:, :, -1] = hours.level[:, 1:]
    five = np.concatenate([hours.level[:, :1], inner.reshape(last - first, -1)], axis=1)
    if length == 5:
        return five
    # From five minutes to one: jumps come at multiples of five minutes, and are a step at the first minute.
    ones = np.arange(1, 6)
    index = np.arange(first * 7200, last * 7200).reshape(last - first, 1440, 5)
    deviation = np.repeat(hours.deviation / 60**0.5, 12, axis=1)[:, :, None]
    walk = np.cumsum(numbers.normal(numbers.key(seed, "one", currency), index) * deviation, axis=2)
    at = (np.arange(1440) % 12) * 5
    jump = np.where(at == np.repeat(hours.minute, 12, axis=1), np.repeat(hours.shock, 12, axis=1), 0.0)[:, :, None]
    rest = (five[:, 1:] - five[:, :-1])[:, :, None] - jump
    inner = five[:, :-1, None] + walk - walk[:, :, -1:] * (ones / 5) + rest * (ones / 5) + jump
    inner[:, :, -1] = five[:, 1:]
    return np.concatenate([five[:, :1], inner.reshape(last - first, -1)], axis=1)


def _live(seed: int, length: int, index: np.ndarray, time: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Which bars have ticks: none on holidays, while the feed is down, and now and then at quiet hours."""
    count = index.shape[1]
    week = index[:, 0] // count
    draws = [numbers.uniform(numbers.key(seed, "outage", part), week)[:, None] for part in range(3)]
    begins = np.floor(draws[1] * weeks.MINUTES)
    lasts = OUTAGE_MINUTES[0] + draws[2] * (OUTAGE_MINUTES[1] - OUTAGE_MINUTES[0])
    at = np.arange(count) * length
    live = ~((draws[0] < OUTAGE_CHANCE) & (at >= begins) & (at + length <= begins + lasts))
    if MISSING[length]:
        rate = MISSING[length] * np.where((at // 60) % 24 == 0, 10.0, 1.0)
        live &= numbers.uniform(numbers.key(seed, "missing", length), index) >= rate
    for since, until in closed:
        live &= (time < since) | (time >= until)
    return live


def _spread(stream: int, base: str, quote: str, index: np.ndarray, lively: np.ndarray, length: int) -> np.ndarray:
    """Share of the price: wide around the roll-over and at Sunday's open, wider when the market is wild."""
    count = index.shape[1]
    hour = np.arange(count) * length // 60
    quiet = (season(base) + season(quote))[hour % 24] / 2
    shape = np.where(hour % 24 == 0, 4.0, 1.0) * np.where(hour == 0, 2.0, 1.0) * (0.7 + 0.3 / quiet)
    usual = SPREAD * (properties(base)[1] + properties(quote)[1]) / 0.012
    noise = 0.8 + 0.4 * numbers.uniform(stream, index)
    # Against the hour's ordinary liveliness: a spread is not wide only because London has opened.
    return usual * shape * noise * np.sqrt(np.maximum(lively / np.maximum(quiet, 0.3), 0.5))


def _joined(
    times: int, time: np.ndarray, live: np.ndarray, columns: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """`times` bars made one, of those of them that have ticks."""
    n = len(time)
    alive = live.reshape(n, -1, times)
    split = {name: values.reshape(n, -1, times) for name, values in columns.items()}
    first = np.argmax(alive, axis=2)[:, :, None]
    last = times - 1 - np.argmax(alive[:, :, ::-1], axis=2)[:, :, None]
    return (
        time[:, ::times],
        np.asarray(alive.any(axis=2)),
        {
            "open": np.take_along_axis(split["open"], first, axis=2)[:, :, 0],
            "high": np.where(alive, split["high"], -np.inf).max(axis=2),
            "low": np.where(alive, split["low"], np.inf).min(axis=2),
            "close": np.take_along_axis(split["close"], last, axis=2)[:, :, 0],
            "half": np.take_along_axis(split["half"], last, axis=2)[:, :, 0],
            "volume": np.where(alive, split["volume"], 0.0).sum(axis=2),
        },
    )


def _priced(columns: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
    """Whole points as prices, with bid and ask around the middle. Divided once each: no digit is off."""
    half = columns["half"]
    made = {name: columns[name] / scale for name in ("open", "high", "low", "close")}
    made["volume"] = columns["volume"]
    for name in ("open", "high", "low", "close"):
        made[f"bid_{name}"] = (columns[name] - half) / scale
        made[f"ask_{name}"] = (columns[name] + half) / scale
    return made

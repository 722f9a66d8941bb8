"""What a sequence of positions would have earned after spread, swap and a late entry.

Capital is divided equally between the instruments. A position is decided at a row and entered `latency` bars
later, at that later row's price and spread; where the instrument has no row exactly then (weekend, gap, end) it is
not entered. It is held until that later row's end. Nothing is decided while a position is held, so no two held
returns of an instrument overlap; while there is none, every row may open one. A change of position costs half the
spread (relative to the price) for each unit changed, and what nothing follows is closed at that cost. All of a held
return belongs to the FX day (17:00 to 17:00 New York) of its entry; returns of a day are summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation import performance, trades
from fx_assets.evaluation.calendar import nights, trading_day

__all__ = ["DAYS_PER_YEAR", "MULTIPLES", "Run", "backtest", "simulate", "trading_day"]

DAYS_PER_YEAR = 260
MULTIPLES = {"0_5x": 0.5, "1x": 1.0, "1_5x": 1.5, "2x": 2.0, "3x": 3.0}
_MICROSECOND = np.timedelta64(1, "us")


@dataclass(frozen=True)
class Run:
    """What was held. days: every FX day with rows, datetime64[D]; day: each held return's place in it.

    held: one row for each held return, sorted by instrument and entry_time: instrument, entry_time, exit_time (UTC
    datetime64[us]), position, rows (bars it lasted), gross (return on the instrument's own capital), entry_cost,
    exit_cost, swap, changed (units of position bought or sold), follows (entered from the one before of the same
    side, without leaving the market).
    """

    held: pd.DataFrame
    days: np.ndarray
    day: np.ndarray
    instruments: int
    rows: int
    latency: int
    swap_per_day: float

    @property
    def trades(self) -> pd.DataFrame:
        """The list of trades; see `trades.listed`. Returns are on the instrument's share of the capital."""
        return trades.listed(self.held)

    @property
    def accounts(self) -> pd.DataFrame:
        """date (datetime64[us]), gross and cost (spread and swap) of each day, as shares of the whole capital."""
        gross = self._by_day(self.held["gross"].to_numpy())
        return pd.DataFrame({"date": self.days.astype("datetime64[us]"), "gross": gross, "cost": gross - self.daily()})

    def daily(self, multiple: float = 1.0) -> np.ndarray:
        """Return of the whole capital on each day, after `multiple` times the spread, and swap; float64 (days,)."""
        held = self.held
        net = held["gross"] - held["swap"] - multiple * (held["entry_cost"] + held["exit_cost"])
        return self._by_day(net.to_numpy())

    def _by_day(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.day, values, minlength=len(self.days)) / self.instruments

    def figures(
        self, bars_per_year: float = DAYS_PER_YEAR, seed: int = 0, cost_source: str = "typical"
    ) -> dict[str, Any]:
        """Figures as plain numbers; see `backtest`."""
        held, year = self.held, float(np.sqrt(bars_per_year))
        gross, net = self._by_day(held["gross"].to_numpy()), self.daily()
        steps = (held["gross"] - held["swap"] - held["entry_cost"] - held["exit_cost"]).to_numpy() / self.instruments
        entered = held["entry_time"].to_numpy()
        sensitivity = {name: self.daily(multiple) for name, multiple in MULTIPLES.items()}
        return {
            "sharpe_gross": performance.sharpe_interval(gross, year, seed),
            "sharpe_net": performance.sharpe_interval(net, year, seed),
            "sortino": performance.sortino_interval(net, year, seed),
            "gross_return": float(gross.sum()),
            "net_return": float(net.sum()),
            "turnover": float(held["changed"].sum() / self.instruments / len(self.days)),
            "exposure": float((held["position"].abs() * held["rows"]).sum() / self.rows),
            "max_drawdown": performance.drawdown(steps, entered),
            "days": len(self.days),
            "last_30d": performance.last_days(self.days, net, self.day, steps, entered, year, seed),
            "cost_sensitivity": {
                name: {"net_return": float(daily.sum()), "sharpe": performance.ratio(daily) * year}
                for name, daily in sensitivity.items()
            },
            "latency_bars": self.latency,
            "cost_source": cost_source,
            "swap_per_day": self.swap_per_day,
            "daily": {str(date): float(value) for date, value in zip(self.days, net, strict=True)},
            **trades.figures(self.trades),
        }


def simulate(
    position: np.ndarray,
    forward_return: np.ndarray,
    half_spread: np.ndarray | float,
    time: np.ndarray,
    instrument: np.ndarray,
    *,
    end: np.ndarray | None = None,
    step: np.timedelta64 | None = None,
    latency: int = 1,
    bar: np.timedelta64 | None = None,
    swap_per_day: float | Mapping[str, float] = 0.0,
) -> Run:
    """Trade the positions. One row for each instrument and decision, in any order; rows may overlap.

    position: -1 to 1 of the instrument's capital (n,), known at `time`. forward_return: log return from time to end
    (n,). half_spread: half the spread over the price at `time`, (n,) or one number. time: decision times, datetime64
    UTC. end: when the return is complete (n,); None for time + step. step: None takes the most common distance
    between an instrument's rows, and so does bar, the length of the `latency` bars between decision and entry.
    swap_per_day: cost of a night as a share of what is held, one number or by instrument; a gain is negative.
    Raises ValueError for no rows, positions outside -1 to 1, missing returns, a row twice, an end that is not after
    its time, a negative latency, and an instrument without a swap.
    """
    position, forward = np.asarray(position, float), np.asarray(forward_return, float)
    if not (np.abs(position) <= 1.0).all() or not np.isfinite(forward).all() or not len(position):
        raise ValueError("positions must be -1 to 1 and every row needs a forward return. Drop unlabelled rows.")
    if latency < 0:
        raise ValueError(f"latency: {latency} bars is negative. An order cannot be filled before it is decided.")
    names, codes = np.unique(np.asarray(instrument, dtype=str), return_inverse=True)
    moment = np.asarray(time).astype("datetime64[us]")
    order = np.lexsort((moment, codes.ravel()))
    position, forward, moment, codes = position[order], forward[order], moment[order], codes.ravel()[order]
    half = np.broadcast_to(np.asarray(half_spread, float), len(order))[order]
    same = codes[1:] == codes[:-1]
    if (same & (np.diff(moment) <= np.timedelta64(0))).any():
        raise ValueError("an instrument has two rows at one time. Remove the repeated rows.")
    usual = _usual_distance(np.diff(moment)[same])
    if end is None:
        close = moment + (usual if step is None else step)
    else:
        close = np.asarray(end).astype("datetime64[us]")[order]
    if (close <= moment).any():
        raise ValueError("a row ends at its decision time or before it. Give each row the end of its return.")
    rates = _rates(swap_per_day, names)
    place = _Places(codes, moment)
    wait = latency * ((usual if bar is None else bar) // _MICROSECOND) * _MICROSECOND
    entered = _delayed(position, place, wait)
    kept = _without_overlap(np.flatnonzero(entered), codes, moment, close)
    held = _account(kept, entered, forward, half, moment, close, codes, rates, place)
    held.insert(0, "instrument", names[codes[kept]])
    days, day = np.unique(trading_day(moment), return_inverse=True)
    swap = float(rates[codes].mean())
    return Run(held, days, day.ravel()[kept], len(names), len(order), latency, swap)


def backtest(
    position: np.ndarray,
    forward_return: np.ndarray,
    half_spread: np.ndarray | float,
    time: np.ndarray,
    instrument: np.ndarray,
    bars_per_year: float = DAYS_PER_YEAR,
    step: np.timedelta64 | None = None,
    seed: int = 0,
    *,
    end: np.ndarray | None = None,
    latency: int = 1,
    bar: np.timedelta64 | None = None,
    swap_per_day: float | Mapping[str, float] = 0.0,
    cost_source: str = "typical",
) -> dict[str, Any]:
    """Figures of a strategy; arguments as `simulate`. bars_per_year: daily bars in a year, for annualising.

    Returns sharpe_gross, sharpe_net and sortino {value, low, high} (annualised, of daily returns; moving-block
    bootstrap over 5-day blocks), net_return and gross_return (sums of daily returns), turnover (position change per
    instrument and day), exposure (mean absolute position), max_drawdown (of compounded returns, 0..1), trades,
    win_rate, profit_factor, days, last_30d {sharpe_net, net_return, max_drawdown, days} of the last 30 calendar
    days, cost_sensitivity {multiple of the spread: {net_return, sharpe}}, latency_bars, cost_source, swap_per_day
    (mean over rows) and daily {date: net return}.
    """
    run = simulate(
        position,
        forward_return,
        half_spread,
        time,
        instrument,
        end=end,
        step=step,
        latency=latency,
        bar=bar,
        swap_per_day=swap_per_day,
    )
    return run.figures(bars_per_year, seed, cost_source)


class _Places:
    """Where an instrument's row of a given moment is, among rows sorted by instrument and moment."""

    def __init__(self, codes: np.ndarray, moment: np.ndarray):
        self._first = moment.min()
        # Twice the span and one more: what lies behind the last row meets no row of this or the next instrument.
        self._span = 2 * int((moment.max() - self._first) // _MICROSECOND) + 2
        self.codes, self.moment = codes, moment
        self._keys = self._key(codes, moment)

    def _key(self, codes: np.ndarray, moment: np.ndarray) -> np.ndarray:
        since = (moment - self._first) // _MICROSECOND
        return codes.astype(np.int64) * self._span + np.minimum(since.astype(np.int64), self._span - 1)

    def at(self, codes: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first row at or after each moment, and whether it is exactly then; the row may be another's."""
        wanted = self._key(codes, moment)
        found = np.searchsorted(self._keys, wanted)
        inside = np.minimum(found, len(self._keys) - 1)
        return found, (found < len(self._keys)) & (self._keys[inside] == wanted)


def _usual_distance(distances: np.ndarray) -> np.timedelta64:
    values, counts = np.unique(distances, return_counts=True)
    # Single rows have no distance; any will do, as nothing can follow them.
    return values[counts.argmax()] if len(values) else _MICROSECOND


def _rates(swap: float | Mapping[str, float], names: np.ndarray) -> np.ndarray:
    if not isinstance(swap, Mapping):
        return np.full(len(names), float(swap))
    if missing := [name for name in names.tolist() if name not in swap]:
        raise ValueError(f"no swap for {', '.join(missing)}. Give a cost per night, 0 for none.")
    return np.array([swap[name] for name in names.tolist()], float)


def _delayed(position: np.ndarray, place: _Places, wait: np.timedelta64) -> np.ndarray:
    """Each row's position as decided `wait` before it; 0 where nothing was decided then."""
    found, there = place.at(place.codes, place.moment + wait)
    out = np.zeros(len(position))
    out[found[there]] = position[there]
    return out


def _without_overlap(rows: np.ndarray, codes: np.ndarray, moment: np.ndarray, close: np.ndarray) -> np.ndarray:
    """The rows that are entered: each the instrument's first wish at or after the end of the one before."""
    c, begin, finish = codes[rows], moment[rows], close[rows]
    overlaps = (c[1:] == c[:-1]) & (begin[1:] < finish[:-1])
    if not overlaps.any():
        return rows
    following = _Places(c, begin).at(c, finish)[0].tolist()
    kept, at = [], 0
    while at < len(rows):
        kept.append(at)
        at = following[at]  # behind an instrument's last wish stands the next instrument's first one
    return rows[np.array(kept, np.int64)]


def _account(
    kept: np.ndarray,
    entered: np.ndarray,
    forward: np.ndarray,
    half: np.ndarray,
    moment: np.ndarray,
    close: np.ndarray,
    codes: np.ndarray,
    rates: np.ndarray,
    place: _Places,
) -> pd.DataFrame:
    position, begin, finish, code = entered[kept], moment[kept], close[kept], codes[kept]
    adjacent = (code[1:] == code[:-1]) & (begin[1:] == finish[:-1])
    stays = adjacent & (np.sign(position[1:]) == np.sign(position[:-1]))
    before = np.concatenate([[0.0], np.where(stays, position[:-1], 0.0)])[: len(kept)]
    leaves = np.concatenate([~stays, [True]])[: len(kept)]
    behind, there = place.at(code, finish)
    # Leaving costs the spread of that moment; where no row tells it, that of the entry.
    at_exit = np.where(there, half[np.minimum(behind, len(half) - 1)], half[kept])
    opened, closed = np.abs(position - before), np.where(leaves, np.abs(position), 0.0)
    return pd.DataFrame(
        {
            "entry_time": begin,
            "exit_time": finish,
            "position": position,
            "rows": np.maximum(behind - kept, 1),
            "gross": position * np.expm1(forward[kept]),
            "entry_cost": half[kept] * opened,
            "exit_cost": at_exit * closed,
            "swap": np.abs(position) * rates[code] * nights(begin, finish),
            "changed": opened + closed,
            "follows": np.concatenate([[False], stays])[: len(kept)],
        }
    )

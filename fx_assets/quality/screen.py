"""Every check over what was fetched: which candles go to silver, which to quarantine, and what was found.

What is found in a session depends on that session's rows alone, never on which others are screened with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.quality import possible, spread, stale, times
from fx_assets.quality.bars import MINUTE_US, Calendar
from fx_assets.quality.clock import Agreement, Shift, agreements, clock_shifts
from fx_assets.quality.completeness import completeness
from fx_assets.quality.cross_rate import cross_rates
from fx_assets.quality.duplicates import VALUES, Distinct, distinct
from fx_assets.quality.edges import edge_shifts
from fx_assets.quality.findings import FINDING_COLUMNS, findings
from fx_assets.quality.market import Market
from fx_assets.quality.reasons import BIT, CODES
from fx_assets.quality.source_limits import Verdict, verdicts
from fx_assets.quality.spikes import spikes

TAKEN_BACK = 1 << len(CODES)  # a bad candle that a later fetch of its session did not bring again: dropped
_NO_ROWS = {"instrument": object, "fetch_source": object}


@dataclass(frozen=True)
class Screened:
    """good: rows of silver/candles. quarantined: rows of silver/quarantine. findings: see findings.FINDING_COLUMNS.

    problems: by session, why nothing may be built on it. agreements: how the returns of related instruments agree, by
    session, for the sum over weeks. candles: how many there were, bad ones included.
    """

    good: pd.DataFrame
    quarantined: pd.DataFrame
    findings: pd.DataFrame
    problems: dict[str, list[str]]
    agreements: list[Agreement]
    candles: int


def screen(frame: pd.DataFrame, keys: Sequence[str], market: Market, now: datetime) -> Screened:
    """Screen the rows of some sessions.

    frame: rows as Bronze.read returns them; those outside `keys` are left out. keys: sessions, sorted. now: by the
    data clock; bars that close later are not missed. Unfinished candles are dropped.
    """
    calendar = Calendar.of(keys, market.all_week)
    if frame.empty:
        frame = _nothing()
    if "complete" in frame.columns:
        running = frame["complete"].eq(False).to_numpy(dtype=bool, na_value=False)
        frame = frame[~running] if running.any() else frame
    found = distinct(frame, market, calendar)
    bits, agreed, shifts = _reasons(found)
    limits = verdicts(found, np.where(bits == TAKEN_BACK, 0, bits))
    for verdict in limits:
        over = verdict.rows[bits[verdict.rows] != TAKEN_BACK]
        bits[over] |= BIT["source_over_limit"]
    return Screened(
        _good(found, bits),
        _quarantined(found, bits),
        findings(found, bits, completeness(found.bars, now)),
        _problems(found, limits, shifts),
        agreed,
        len(found.bars),
    )


def _reasons(found: Distinct) -> tuple[np.ndarray, list[Agreement], list[Shift]]:
    """Every row's reasons as bits; later checks see only what the earlier ones left."""
    bars = found.bars
    bits = np.zeros(len(bars), dtype=np.int64)

    def mark(code: str, rows: np.ndarray) -> np.ndarray:
        bits[rows & (bits != TAKEN_BACK)] |= BIT[code]
        return bits == 0

    for code, check in (
        ("impossible_price", possible.impossible_prices),
        ("negative_volume", possible.negative_volume),
        ("negative_spread", spread.negative_spread),
        ("wide_spread", spread.wide_spread),
        ("off_grid", times.off_grid),
        ("closed_market", times.closed_market),
    ):
        mark(code, check(bars))
    mark("conflicting", found.conflicting)
    # What its source no longer says counts neither for it nor against it.
    bits[(bits != 0) & found.taken_back] = TAKEN_BACK
    shifts = edge_shifts(bars, (bits & BIT["closed_market"]) != 0)
    used = bits == 0
    used = mark("stale", stale.stale_prices(bars, used))
    used = mark("spike", spikes(bars, used))
    used = mark("cross_rate", cross_rates(bars, used))
    agreed = agreements(bars, used)
    known = {(shift.session, shift.instrument) for shift in shifts}
    shifts += [s for s in clock_shifts(agreed, bars) if (s.session, s.instrument) not in known]
    for shift in shifts:
        mark("feed_clock", (bars.session == shift.session) & (bars.instrument == shift.instrument))
    return bits, agreed, shifts


def _problems(found: Distinct, limits: list[Verdict], shifts: list[Shift]) -> dict[str, list[str]]:
    keys, symbols = found.bars.calendar.keys, found.bars.market.symbols
    told: dict[str, list[str]] = {}
    for verdict in sorted(limits, key=lambda v: (v.session, v.instrument, v.source)):
        told.setdefault(keys[verdict.session], []).append(verdict.words(found))
    for shift in shifts:
        key = keys[shift.session]
        told.setdefault(key, []).append(
            f"{symbols[shift.instrument]}, session {key}: its clock is about {abs(shift.minutes)} minutes "
            f"{'ahead' if shift.minutes > 0 else 'behind'}, judged by {shift.judged_by}, so its bars carry a wrong "
            "time. Correct the time zone at the source and fetch or import the session again."
        )
    return told


def _good(found: Distinct, bits: np.ndarray) -> pd.DataFrame:
    rows = np.flatnonzero(bits == 0)
    frame = _columns(found, rows)
    length = found.bars.market.minutes[found.bars.instrument[rows]] * MINUTE_US
    frame["available_at"] = _utc(found.bars.time[rows] + length)
    return frame


def _quarantined(found: Distinct, bits: np.ndarray) -> pd.DataFrame:
    bad = np.flatnonzero(bits)
    marked = (bits[bad, None] & np.array([BIT[code] for code in CODES])) != 0
    at, reason = np.nonzero(marked)
    rows = bad[at]
    frame = _columns(found, rows).replace([np.inf, -np.inf], np.nan)
    frame["reason"] = np.array(CODES, dtype=object)[reason]
    frame["fetched_at"] = _utc(found.fetched_at[rows])
    frame["copy"] = found.copy[rows]
    return frame


def _columns(found: Distinct, rows: np.ndarray) -> pd.DataFrame:
    bars = found.bars
    columns = {
        "instrument": np.array(bars.market.symbols, dtype=object)[bars.instrument[rows]],
        "time": _utc(bars.time[rows]),
        "source": np.array(found.sources, dtype=object)[found.source[rows]],
        **{name: bars.values[name][rows] for name in VALUES if name in bars.values},
    }
    return pd.DataFrame(columns)


def _utc(values: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(values.view("datetime64[us]"), tz="UTC")


def _nothing() -> pd.DataFrame:
    """A frame as Bronze.read would return it, without rows."""
    times = pd.DatetimeIndex([], tz="UTC").as_unit("us")
    numbers = {name: pd.Series(dtype="float64") for name in VALUES}
    texts = {name: pd.Series(dtype=kind) for name, kind in _NO_ROWS.items()}
    return pd.DataFrame({"time": times, "fetched_at": times, **texts, **numbers})


__all__ = ["FINDING_COLUMNS", "Screened", "screen"]

"""What the checks found, as one table: a row for each session, instrument, source and check that has something."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.quality.completeness import Completeness
from fx_assets.quality.duplicates import Distinct
from fx_assets.quality.possible import idle_volume
from fx_assets.quality.reasons import BIT, OF_CHECK

FINDING_COLUMNS = ["session", "instrument", "source", "check", "what", "count", "of"]
CHECKS = (*OF_CHECK, "completeness")
NOTHING = "nothing arrived"
REPEATED = "repeated in one fetch, dropped"
HOUR_MISSING = "missing, an hour or more in a row"
# Worth knowing, and no fault: pages repeat the candle they join on, and some brokers pause for an hour a day.
NOTED = (REPEATED, HOUR_MISSING)


def findings(found: Distinct, bits: np.ndarray, there: Completeness) -> pd.DataFrame:
    """count rows of `of` candles (of expected bars, for completeness) in a session, for one reason (`what`)."""
    bars = found.bars
    parts = []
    noted = idle_volume(bars) & (bits == 0)
    if len(bars):
        sources = max(1, len(found.sources))
        group = bars.group * sources + found.source
        marks = [(check, code, (bits & BIT[code]) != 0) for check, codes in OF_CHECK.items() for code in codes]
        for check, what, rows in [*marks, ("volume", "moved without ticks", noted)]:
            if rows.any():
                groups, counts = np.unique(group[rows], return_counts=True)
                of = np.searchsorted(np.sort(group), groups, "right") - np.searchsorted(np.sort(group), groups)
                pair, source = groups // sources, groups % sources
                sessions = max(1, len(bars.calendar.keys))
                parts.append(_part(found, pair % sessions, pair // sessions, check, what, counts, of, source))
    shape = there.expected.shape
    total = np.bincount(bars.session * shape[1] + bars.instrument, minlength=shape[0] * shape[1]).reshape(shape)
    for check, what, counts in (
        ("duplicates", REPEATED, found.repeated),
        ("monotone_time", "out of order in its fetch", found.disordered),
        ("market_hours", "outside the session asked for, dropped", found.misplaced),
    ):
        session, instrument = np.nonzero(counts)
        if len(session):
            at = (session, instrument)
            dropped = 0 if counts is found.disordered else counts[at]
            parts.append(_part(found, *at, check, what, counts[at], total[at] + dropped))
    parts += _incomplete(found, there)
    if not parts:
        return pd.DataFrame({name: [] for name in FINDING_COLUMNS})
    return pd.concat(parts, ignore_index=True)


def _incomplete(found: Distinct, there: Completeness) -> list[pd.DataFrame]:
    least = found.bars.market.limits.min_completeness
    low = (there.expected > 0) & (there.arrived < least * there.expected)
    made = []
    for what, rows, counts in (
        (NOTHING, low & (there.arrived == 0), there.expected),
        ("bars missing", low & (there.arrived > 0), there.expected - there.arrived),
        (HOUR_MISSING, ~low & (there.gaps > 0), there.gaps),
    ):
        at = np.nonzero(rows)
        if len(at[0]):
            made.append(_part(found, at[0], at[1], "completeness", what, counts[at], there.expected[at]))
    return made


def _part(
    found: Distinct,
    session: np.ndarray,
    instrument: np.ndarray,
    check: str,
    what: str,
    counts: np.ndarray,
    of: np.ndarray,
    source: np.ndarray | None = None,
) -> pd.DataFrame:
    names = np.array(found.sources, dtype=object)
    return pd.DataFrame(
        {
            "session": np.array(found.bars.calendar.keys, dtype=object)[session],
            "instrument": np.array(found.bars.market.symbols, dtype=object)[instrument],
            "source": "" if source is None else names[source],
            "check": check,
            "what": what,
            "count": counts,
            "of": of,
        }
    )[FINDING_COLUMNS]

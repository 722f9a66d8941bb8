"""From every row of every fetch to one candle for each instrument and time, and what was odd on the way.

The newest fetch wins, late and corrected candles included. Within one fetch, equal rows of one time are what paging
leaves behind (a page repeats the candle it joins on) and are dropped; rows that differ contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.quality.bars import Bars, Calendar
from fx_assets.quality.market import Market

PRICES = ("open", "high", "low", "close")
WHOLE = 0.5  # of all candles of a session: a fetch with as many was of the whole of it
VALUES = (*PRICES, "volume", "bid_close", "ask_close")


@dataclass(frozen=True)
class Distinct:
    """Candles by instrument and time. row: where each lies in the frame they came from.

    conflicting: rows that contradict another one of the same fetch and time; only these share a time, told apart by
    copy (0, 1, ...). fetched_at: when each candle, as it is, was first seen (microseconds). repeated, disordered and
    misplaced: counts [session, instrument] of equal rows dropped, of rows behind which their fetch had already been,
    and of rows that lie outside the session they were fetched for (dropped). taken_back: rows that a later fetch of
    their whole session did not bring again.
    """

    bars: Bars
    row: np.ndarray
    conflicting: np.ndarray
    copy: np.ndarray
    fetched_at: np.ndarray
    source: np.ndarray
    sources: list[str]
    repeated: np.ndarray
    disordered: np.ndarray
    misplaced: np.ndarray
    taken_back: np.ndarray


def distinct(frame: pd.DataFrame, market: Market, calendar: Calendar) -> Distinct:
    """frame: rows as Bronze.read returns them, of the calendar's sessions, without running candles."""
    shape = (len(calendar.keys), len(market.symbols))
    instrument = pd.Index(market.symbols).get_indexer(pd.Index(frame["instrument"]))
    time = _microseconds(frame["time"])
    session = calendar.positions(time)
    asked = session
    if "session" in frame.columns and len(frame):
        codes, names = pd.factorize(frame["session"])
        asked = pd.Index(calendar.keys).get_indexer(names)[codes]
    known = instrument >= 0
    kept = known & (session >= 0) & (session == asked)
    lost = known & ~kept & (asked >= 0)
    misplaced = _counts(asked[lost], instrument[lost], shape)
    fetched = _microseconds(frame["fetched_at"])
    disordered = _disordered(instrument, asked, fetched, time, kept)

    row = np.flatnonzero(kept)
    key = (instrument[row].astype(np.int64) << 52) | time[row]
    order = np.argsort(key, kind="stable")
    row, key = row[order], key[order]
    same = key[1:] == key[:-1]
    if same.any() and (same & (fetched[row][1:] < fetched[row][:-1])).any():
        order = np.lexsort((fetched[row], key))
        row, key = row[order], key[order]
        same = key[1:] == key[:-1]

    codes, names = pd.factorize(frame["fetch_source"])
    columns = {name: frame[name].to_numpy("float64") for name in VALUES if name in frame.columns}
    own = time[row] >= calendar.starts[session[row]] if len(row) else np.zeros(0, dtype=bool)
    group = instrument[row].astype(np.int64) * max(1, len(calendar.keys)) + session[row]
    taken_back = _taken_back(group, fetched[row], key, own)
    first_seen, conflicting = fetched[row], np.zeros(len(row), dtype=bool)
    copy = np.zeros(len(row), dtype=np.int64)
    repeated = np.zeros(shape, dtype=np.int64)
    if same.any():
        again = np.concatenate([[False], same])
        at = fetched[row]
        equal = again & (np.concatenate([[0], np.diff(codes[row])]) == 0)
        for values in columns.values():
            now, before = values[row], np.concatenate([[np.nan], values[row][:-1]])
            equal &= (now == before) | (np.isnan(now) & np.isnan(before))
        # The fetch that first brought a row that later ones only repeated.
        origin = np.maximum.accumulate(np.where(equal, 0, np.arange(len(row))))
        first_seen = at[origin]
        last_of_key = np.concatenate([~same, [True]])
        newest = _backward(at, last_of_key)
        winner = at == newest
        within = again & np.concatenate([[False], at[1:] == at[:-1]])
        repeat = winner & within & equal
        repeated = _counts(session[row[repeat]], instrument[row[repeat]], shape)
        stays = winner & ~repeat
        row, first_seen, key, taken_back = row[stays], first_seen[stays], key[stays], taken_back[stays]
        copy, conflicting = _copies(key)
    bars = Bars(
        market, calendar, instrument[row], session[row], time[row], {name: v[row] for name, v in columns.items()}
    )
    disorder = _counts(session[row[disordered[row]]], instrument[row[disordered[row]]], shape)
    return Distinct(
        bars,
        row,
        conflicting,
        copy,
        first_seen,
        codes[row],
        [str(n) for n in names],
        repeated,
        disorder,
        misplaced,
        taken_back,
    )


def _microseconds(times: pd.Series) -> np.ndarray:
    return times.to_numpy("datetime64[us]").astype(np.int64)


def _counts(session: np.ndarray, instrument: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(session * shape[1] + instrument, minlength=shape[0] * shape[1]).reshape(shape)


def _backward(values: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Each row's group's last value; `last` marks the last row of each group."""
    ends = np.flatnonzero(last)
    return values[ends[np.searchsorted(ends, np.arange(len(values)))]]


def _taken_back(group: np.ndarray, fetched: np.ndarray, key: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Rows whose fetch was followed by one of the whole session.

    A fetch is of the whole session when it has at least half as many candles of the session's own hours (`own`) as
    all fetches together. Rows are sorted by key (instrument and time); of the rows of one time the newest one counts.
    """
    nothing = np.zeros(len(key), dtype=bool)
    if len(key) < 2 or not ((group[1:] == group[:-1]) & (fetched[1:] != fetched[:-1])).any():
        return nothing
    new = own & np.concatenate([[True], key[1:] != key[:-1]])
    groups, at = np.unique(group, return_inverse=True)
    candles = np.bincount(at, new, len(groups))
    moments, moment = np.unique(fetched, return_inverse=True)
    pairs, where = np.unique(at * len(moments) + moment, return_inverse=True)
    size = np.bincount(where, own, len(pairs))
    of, when = pairs // len(moments), pairs % len(moments)
    whole = size >= WHOLE * candles[of]
    newest = np.full(len(groups), -1)
    np.maximum.at(newest, of[whole], when[whole])
    return when[where] < newest[at]


def _copies(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A running number within equal neighbours, and whether a row has such a neighbour."""
    same = key[1:] == key[:-1]
    again = np.concatenate([[False], same])
    start = np.maximum.accumulate(np.where(again, 0, np.arange(len(key))))
    return np.arange(len(key)) - start, again | np.concatenate([same, [False]])


def _disordered(
    instrument: np.ndarray, session: np.ndarray, fetched: np.ndarray, time: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Rows, in the order of the files, that lie before a row that the same fetch had already given."""
    back = np.zeros(len(time), dtype=bool)
    if len(time) < 2:
        return back
    same = (instrument[1:] == instrument[:-1]) & (session[1:] == session[:-1]) & (fetched[1:] == fetched[:-1])
    if not (same & (time[1:] < time[:-1])).any():
        return back
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
    block = np.repeat(np.arange(len(starts)), np.diff(np.concatenate([starts, [len(time)]])))
    # Blocks side by side on one axis, so that one running maximum serves all of them.
    span = int(time.max() - time.min()) // 1_000_000 + 1
    level = (time - time.min()) // 1_000_000 + block.astype(np.int64) * span
    back[1:] = same & (level[1:] < np.maximum.accumulate(level)[:-1])
    return back & kept

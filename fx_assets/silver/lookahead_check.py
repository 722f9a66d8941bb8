"""The blocking check `no_lookahead` of a feature table: the rows of a session, made again without their future.

Each of a run's first chunks has one of its sessions looked at: the table's own function runs again on inputs of which
only that is left what was known at a moment inside that session, and every value known by then must be the same to the
last bit. No Dagster here; the assets report what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pandas as pd

from fx_assets.features.blocks import moment_us, time_us
from fx_assets.features.truncation import Function, differences, known_us
from fx_assets.sessions import news_bounds

CHECK = "no_lookahead"
DESCRIPTION = "The values of a session do not change when what became known after them is taken away."
ENOUGH = 3  # sessions of a run: a leak is in the code, and shows in any of them
TOLD = 5  # problems told of a session: one leak reaches many columns
Moments = Callable[[pd.DataFrame], np.ndarray]  # when each row was known, microseconds since 1970, UTC


def available_us(frame: pd.DataFrame) -> np.ndarray:
    """When each row was known, by its available_at."""
    return time_us(frame["available_at"])


def lookahead_problems(
    make: Function,
    candles: pd.DataFrame,
    made: pd.DataFrame,
    window: int,
    seed: str = "",
    minutes: Mapping[str, int] | None = None,
) -> list[str]:
    """What of a session's rows depends on later candles, in words: column, instrument, time, both values.

    make: candles -> instrument, time and columns of that session at least, as the rows were made; only figures are
        compared.
    candles: what the rows were made from. made: the rows of the one session, all instruments.
    window: bars before its own that a value may depend on; older candles are not computed again.
    seed, minutes: see `cuts_of` and `known_us`.
    What a table is made of beside candles is not cut.
    """
    return _problems_of(make, candles, made, window, seed, minutes) or []


def _problems_of(
    make: Function, candles: pd.DataFrame, made: pd.DataFrame, window: int, seed: str, minutes: Mapping[str, int] | None
) -> list[str] | None:
    """As lookahead_problems; None where no candle comes later than a row, so that nothing can be compared."""
    if made.empty:
        return None
    recent = recent_rows(candles, int(time_us(made["time"]).min()), window, minutes)
    known = known_us(recent, minutes)
    return problems_at(
        lambda moment: make(recent.loc[known <= moment]),
        made,
        cuts_of(made, lambda rows: known_us(rows, minutes), known, seed),
        lambda rows: known_us(rows, minutes),
    )


def cuts_of(made: pd.DataFrame, known: Moments, inputs: np.ndarray, seed: str) -> list[int]:
    """Moments, microseconds since 1970, after which a session's inputs are taken away; none where all came before.

    made: the rows of the session. inputs: when each row of the inputs was known. seed: draws two neighbouring moments,
    so that each session tries others. Two, because what looks into a longer bar is not seen at that bar's end. A third
    one is before the session's last row, or later where an instrument's first row is: that of a longer bar.
    """
    moments = known(made)
    first = pd.Series(moments).groupby(made["instrument"].to_numpy()).min() if len(made) else pd.Series(dtype="int64")
    distinct = np.unique(moments)
    if not len(distinct) or not len(inputs):
        return []
    end = max(len(distinct) - 2, 0)
    drawn = Random(seed).randrange(max(1, len(distinct) - 2))
    chosen = {drawn, min(drawn + 1, end), max(end, int(np.searchsorted(distinct, first.max())))}
    latest = int(inputs.max())
    return [moment for moment in (int(distinct[position]) for position in sorted(chosen)) if moment < latest]


def problems_at(
    make: Callable[[int], pd.DataFrame], made: pd.DataFrame, cuts: Sequence[int], known: Moments
) -> list[str] | None:
    """What of a session's rows changes when all that became known after each of `cuts` is taken away, in words.

    make: a cut -> the rows made of what was known by then; those of other sessions may be among them. made: the rows of
    the session. known: when each row was known. None without cuts: nothing is compared.
    """
    if not cuts:
        return None
    start, written = int(time_us(made["time"]).min()), known(made)
    found: dict[str, str] = {}
    for cut in cuts:
        until = f"without what became known after {pd.Timestamp(cut, unit='us', tz='UTC')}"
        alone = make(cut)
        alone = alone.loc[(time_us(alone["time"]) >= start) & (known(alone) <= cut)]
        own = made.loc[written <= cut]
        columns = _values(made, alone)
        try:
            for one in differences(own.reindex(columns=columns), alone.reindex(columns=columns)):
                words = f"{one.column} of {one.instrument} at {one.time} is {one.value!r}; {until} it is {one.alone!r}"
                found.setdefault(one.column, words)
        except ValueError as error:
            found.setdefault("rows", f"{until} there are other rows: {error}")
        if len(alone) < len(own):
            found.setdefault("rows", f"{until} there are {len(alone)} rows up to there, not {len(own)}")
    told = list(found.values())
    more = f"and {len(told) - TOLD} more columns: {', '.join([*found][TOLD:])}"
    return [*told[:TOLD], *([more] if len(told) > TOLD else [])]


@dataclass
class Lookahead:
    """Looks at one session of each of a run's first chunks. problems: by session; checked: the sessions looked at.

    window: bars that a value may depend on. minutes: length of a bar by instrument (see known_us). enough: sessions
    after which it looks no more.
    """

    window: int
    all_week: bool = False
    minutes: Mapping[str, int] | None = None
    problems: dict[str, list[str]] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)
    enough: int = ENOUGH

    def look(
        self,
        keys: Sequence[str],
        candles: pd.DataFrame,
        rows: pd.DataFrame,
        make: Callable[[list[str], pd.DataFrame], pd.DataFrame],
    ) -> dict[str, list[str]]:
        """The problems of one of the chunk's sessions, of a table made of candles; see `first_of`.

        rows: what make(keys, candles) gave, sorted or not.
        """

        def problems(key: str, made: pd.DataFrame) -> list[str] | None:
            def again(cut: pd.DataFrame) -> pd.DataFrame:
                return make([key], cut)

            return _problems_of(again, candles, made, self.window, key, self.minutes)

        return self.first_of(keys, rows, problems)

    def first_of(
        self, keys: Sequence[str], rows: pd.DataFrame, problems: Callable[[str, pd.DataFrame], list[str] | None]
    ) -> dict[str, list[str]]:
        """The problems of the first session of a chunk in which anything can be compared: the most comes after it.

        rows: of all the chunk. problems: session, its rows -> what is wrong, or None where nothing could be compared.
        """
        if len(self.checked) >= self.enough:
            return {}
        time = time_us(rows["time"])
        for key in keys:
            start, end = (moment_us(moment) for moment in news_bounds(key, self.all_week))
            inside = (time >= start) & (time < end)
            told = problems(key, rows.loc[inside]) if inside.any() else None
            early = early_rows(rows.loc[inside], self.minutes)
            if told is None and not early:
                continue
            told = [*early, *(told or [])]
            self.checked.append(key)
            if told:
                self.problems[key] = told
            return {key: told} if told else {}
        return {}


def early_rows(rows: pd.DataFrame, minutes: Mapping[str, int] | None) -> list[str]:
    """Rows said to be known before the bar they are made of has closed, in words: whoever joins by available_at would
    be told that close when the bar opens.
    """
    if minutes is None or "available_at" not in rows.columns:
        return []
    closes = known_us(rows, minutes)
    if not (early := available_us(rows) < closes).any():
        return []
    row, close = rows.iloc[int(np.argmax(early))], pd.Timestamp(closes[early][0], unit="us", tz="UTC")
    words = f"available_at of {row['instrument']} at {row['time']} is {row['available_at']}; its bar closes at {close}"
    return [f"{words} ({int(early.sum())} such rows)"]


def recent_rows(rows: pd.DataFrame, first: int, window: int, minutes: Mapping[str, int] | None = None) -> pd.DataFrame:
    """From the time on at which every instrument has `window` bars before the moment `first`, or all it has.

    minutes: length of a bar by instrument; those of each length have a time of their own.
    """
    time = time_us(rows["time"])
    codes, names = pd.factorize(rows["instrument"])
    lengths = np.array([minutes[name] if minutes else 0 for name in names], dtype=np.int64)
    starts = np.full(len(names), first, dtype=np.int64)
    for code in range(len(names)):
        before = np.sort(time[(codes == code) & (time < first)])[-window:]
        starts[code] = before[0] if len(before) else first
    for length in np.unique(lengths):
        starts[lengths == length] = starts[lengths == length].min()
    return rows.loc[time >= starts[codes]].reset_index(drop=True)


def _values(made: pd.DataFrame, alone: pd.DataFrame) -> list[str]:
    """The keys and every column of figures in either; a group that lost its input is missing, not skipped."""
    figures = [str(name) for frame in (made, alone) for name, dtype in frame.dtypes.items() if dtype.kind == "f"]
    return ["instrument", "time", *dict.fromkeys(figures)]

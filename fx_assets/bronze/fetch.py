"""Fetching one session into bronze, source by source: pure of Dagster.

The first source of an instrument's list that answers is used. When none does, nothing is written and the error
lists what each of them said. An answer that cannot be true counts as none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from fx_assets.bronze.due import SETTLED
from fx_assets.bronze.failover import Sources
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, STREAMED, Bronze, BronzeFile, Fetch
from fx_assets.configuration import Instrument
from fx_assets.errors import StoreError
from fx_assets.market_hours import market_hours
from fx_assets.sessions import news_bounds, session_bounds
from fx_assets.silver.clean import PRICES, valid_candles
from fx_assets.sources import SourceError, SourceRefused

# More impossible rows than this are garbage that happens to parse. Fewer are kept: silver puts them aside, one by one.
MAX_IMPOSSIBLE = 0.5
HEADLINE_COLUMNS = ("published", "first_seen", "headline")


# A poll of the running session asks again for what is no older than this before its last answer; what is corrected
# later than that is found when the session is fetched as a whole after its end.
OVERLAP_BARS, OVERLAP = 10, timedelta(hours=1)
_LOOK_BACK_FILES = 64


class NoAnswer(StoreError):
    """No source answered for an instrument's session, or for a session's news."""

    def __init__(self, what: str, failed: Sequence[str]):
        said = " | ".join(words.rstrip(".") for words in failed)
        super().__init__(
            f"{what}: no source answered. {said}. Nothing of it was written. Mend what is said above, "
            "or add another source to its list in instruments.yaml, and run the same command again."
        )


@dataclass(frozen=True)
class Moment:
    """When a run fetches. now: by the data clock, up to which there is a market. wall: what is recorded.

    poll: of the running session, only what is new since the last answer is wanted, and a little before it. Otherwise
    each poll would repeat the day, and a day of minute candles would be in bronze hundreds of times.
    """

    now: datetime
    wall: datetime
    poll: bool = False


@dataclass(frozen=True)
class Outcome:
    """What fetching one instrument's session, or one session's news, has written, and what failed on the way."""

    files: tuple[BronzeFile, ...] = ()
    failed: tuple[str, ...] = ()


def fetch_candles(
    bronze: Bronze, sources: Sources, symbol: str, instrument: Instrument, session: str, moment: Moment
) -> Outcome:
    """One instrument's candles of one session; of the running one up to now, of a coming one nothing.

    No file is written where the first source has nothing to fetch (imported history) or the session has not begun.
    Raises NoAnswer when no source answers, and when one has no candles of a session that is over although the
    market was open, while another does not answer for the moment: an empty file would end all asking.
    """
    start, whole = session_bounds(session)
    end = min(whole, moment.now)
    if start >= end:
        return Outcome()
    if moment.poll and end < whole:
        start = max(start, _asked_up_to(bronze, symbol, instrument, session) or start)
    failed: list[str] = []
    passing = False  # whether one failed that may answer later
    empty: tuple[str, pd.DataFrame] | None = None

    def written(name: str, rows: pd.DataFrame) -> Outcome:
        part = moment.now < whole + SETTLED
        return Outcome((bronze.append(CANDLES, symbol, session, name, rows, moment.wall, part),), tuple(failed))

    for name in instrument.sources:
        asked = instrument.symbols.get(name, symbol)

        def question(source: Any, name: str = name, asked: str = asked) -> pd.DataFrame | None:
            rows = source.candles(asked, instrument.granularity, start, end)
            if rows is None:
                return None
            rows = _possible(name, asked, rows, start, end)
            # A file that is replayed knows how the running bar ends; nobody else does.
            return rows[rows["time"] + pd.Timedelta(minutes=instrument.minutes) <= pd.Timestamp(moment.now)]

        try:
            rows = sources.ask(name, symbol, question)
        except SourceError as error:
            failed.append(str(error))
            passing = passing or not isinstance(error, SourceRefused)
            continue
        if rows is None:
            return Outcome(failed=tuple(failed))
        if rows.empty and _expects_bars(instrument, start, end):
            # It may be that nothing was traded, or that this source does not reach so far: ask the others first.
            empty = empty or (name, rows)
            continue
        return written(name, rows)
    if empty is not None:
        if end < whole or not passing:
            return written(*empty)
        failed.append(f"{empty[0]}: has no candles of it")
    raise NoAnswer(f"{symbol}, session {session}", failed)


def fetch_news(
    bronze: Bronze, sources: Sources, names: Iterable[str], session: str, moment: Moment, all_week: bool = False
) -> Outcome:
    """The headlines of one session from every news source, weekend included (see news_bounds).

    News sources complete each other, so each is asked; while one fails that may answer later, the session counts as
    fetched in part only. Raises NoAnswer when none of them answers.
    """
    start, end = news_bounds(session, all_week)
    # The end stays the session's own: a feed's headlines are first seen when it is asked, which is after moment.now.
    if start >= moment.now:
        return Outcome()
    fetched: list[Fetch] = []
    failed: list[str] = []
    part = moment.now < session_bounds(session)[1] + SETTLED
    for name in names:

        def question(source: Any, name: str = name) -> pd.DataFrame:
            return _headlines(name, source.news(start, end))

        try:
            fetched.append(Fetch(ALL_NEWS, session, name, sources.ask(name, "news", question)))
        except SourceError as error:
            failed.append(str(error))
            part = part or not isinstance(error, SourceRefused)
    if failed and not fetched:
        raise NoAnswer(f"news, session {session}", failed)
    fetched = [replace(fetch, part=part) for fetch in fetched]
    return Outcome(tuple(bronze.append_all(NEWS, fetched, moment.wall)), tuple(failed))


def _possible(name: str, asked: str, rows: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """The rows, unless they cannot be an answer: other columns or times, or mostly impossible prices."""
    if lacking := [c for c in ("time", *PRICES) if c not in rows.columns]:
        raise SourceError(f"{name}: its candles of {asked} have no column {', '.join(lacking)}.")
    if rows.empty:
        return rows
    if not isinstance(rows["time"].dtype, pd.DatetimeTZDtype):
        raise SourceError(f"{name}: the times of its candles of {asked} have no time zone.")
    outside = ~rows["time"].between(pd.Timestamp(start), pd.Timestamp(end), inclusive="left")
    if outside.any():
        raise SourceError(
            f"{name}: asked for {asked} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, it answered with "
            f"candles of {rows['time'][outside].iloc[0]}."
        )
    try:
        impossible = int((~valid_candles(rows)).sum())
    except (TypeError, ValueError):
        raise SourceError(f"{name}: the prices of its candles of {asked} are not numbers.") from None
    if impossible > MAX_IMPOSSIBLE * len(rows):
        raise SourceError(f"{name}: {impossible} of {len(rows)} candles of {asked} are impossible; all are refused.")
    return rows


def _headlines(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    if lacking := [c for c in HEADLINE_COLUMNS if c not in rows.columns]:
        raise SourceError(f"{name}: its headlines have no column {', '.join(lacking)}.")
    return rows


def _asked_up_to(bronze: Bronze, symbol: str, instrument: Instrument, session: str) -> datetime | None:
    """From where on a poll has to ask again: a little before the newest candle of the last answer that had any.

    Bars of a pricing stream do not count: what a source says about them later wins over them.
    """
    overlap = max(OVERLAP, OVERLAP_BARS * timedelta(minutes=instrument.minutes))
    for path in reversed(bronze.files(CANDLES, session, [symbol])[-_LOOK_BACK_FILES:]):
        rows = bronze.read_files([path])
        if len(rows) and not rows["fetch_source"].iloc[0].endswith(STREAMED):
            return (rows["time"].max() - overlap).to_pydatetime()
    return None


def _expects_bars(instrument: Instrument, start: datetime, end: datetime) -> bool:
    """Whether the calendar has at least one bar that opened and closed in [start, end)."""
    bars = market_hours(instrument.calendar).expected_bars(start, end, instrument.minutes)
    return bool(len(bars)) and bars[0] + pd.Timedelta(minutes=instrument.minutes) <= pd.Timestamp(end)

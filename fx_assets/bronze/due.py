"""Which sessions of which instruments have to be fetched: the one rule, for the planner of backfills and for the
bronze assets of a run that fetches only what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fx_assets.bronze.files import ALL_NEWS, CANDLES, PART, SUFFIX, Bronze
from fx_assets.configuration import Configuration
from fx_assets.sessions import session_bounds

ONLY_MISSING = "fx/only_missing"  # tag of a run that fetches what is due, and nothing else
FETCH_AGAIN = "fx/fetch_again"  # tag of such a run that names one session to be fetched in any case
IMPORT = "import"
# A source may publish a session's last candle, or a late correction of it, a little after its close.
SETTLED = timedelta(minutes=2)


class Newest(NamedTuple):
    """When a session was last fetched (wall clock, UTC): at all, and by a fetch that is not marked as a part.

    Files of earlier versions are never marked.
    """

    any: datetime
    whole: datetime | None


Fetches = Mapping[str, Mapping[str, Newest]]  # instrument -> session -> newest fetches


def fetched_by_us(configuration: Configuration, table: str) -> list[str]:
    """The instruments of a bronze table that a source is asked for; imported history is not fetched."""
    file = configuration.instruments
    if table != CANDLES:
        return [ALL_NEWS] if file.news.sources else []
    return [symbol for symbol, i in file.instruments.items() if file.source(i.sources[0]).kind != IMPORT]


def newest_fetches(bronze: Bronze, table: str) -> dict[str, dict[str, Newest]]:
    """When each instrument's sessions were last fetched (wall clock, UTC), also where the files are only in the
    archive. One listing of the table.
    """
    stamps: dict[tuple[str, str], tuple[str, str]] = {}  # of all fetches, of those that are no parts
    for path in bronze.fetches(table):
        *_, instrument, session, name = path.split("/")
        key = instrument.partition("=")[2], session.partition("=")[2]
        stamp, (newest, whole) = name.partition("-")[0], stamps.get(key, ("", ""))
        stamps[key] = max(newest, stamp), whole if name.endswith(PART + SUFFIX) else max(whole, stamp)
    found: dict[str, dict[str, Newest]] = {}
    for (instrument, session), (newest, whole) in stamps.items():
        found.setdefault(instrument, {})[session] = Newest(_moment(newest), _moment(whole) if whole else None)
    return found


def due(
    sessions: Iterable[str], instruments: Iterable[str], fetches: Fetches, now: datetime, wall: datetime | None = None
) -> dict[str, list[str]]:
    """Session -> instruments to fetch, for sessions with any.

    The running session is always due, one that has not begun never, one that is over when there is no fetch of it
    from after its end: candles that came later would be missing for ever. now: by the data clock; wall: by the wall
    clock (default: now). A fetch that is marked as a part was made before the end, whatever the clocks say. Any
    other is placed on the data clock as long ago as it is by the wall clock.
    """
    names, wall = list(instruments), wall or datetime.now(UTC)
    stands_still = _clock_stands_still()
    found: dict[str, list[str]] = {}
    for session in sessions:
        start, end = session_bounds(session)
        if start > now:
            continue
        running = now < end

        def lacks(instrument: str, session: str = session, end: datetime = end, running: bool = running) -> bool:
            had = fetches.get(instrument, {})
            if session not in had or running:
                return True
            newest = had[session]
            if newest.whole is None and now >= end + SETTLED:
                return True
            if stands_still:
                return False
            return now - (wall - (newest.whole or newest.any)) < min(end + SETTLED, now)

        if lacking := [instrument for instrument in names if lacks(instrument)]:
            found[session] = lacking
    return found


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def _clock_stands_still() -> bool:
    """Whether FX_CLOCK is one instant: nothing can be said then about when, in data time, a fetch was made."""
    setting = os.environ.get("FX_CLOCK", "").strip()
    return bool(setting) and "@" not in setting

"""The one partitions definition every partitioned table shares, and the mappings between sessions.

Sliced by FX session because that is how the market closes its books: right across daylight-saving changes,
no weekend partitions, ten years in about 2,600 keys. Instrument is a column and not a second dimension:
two-dimensional partitions would split single-run backfills and grow to tens of thousands of keys.
"""

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.sessions import ROLLOVER_HOUR, running_session
from fx_serving.client import clock

# A replay that runs longer than this needs its code locations reloaded, by `fx up` or in the UI.
AHEAD_OF_REPLAY = timedelta(days=14)
ONE_DAY = timedelta(days=1)
LOOKBACK, AHEAD, SETTING = "fx/lookback_sessions", "fx/ahead_sessions", "fx/setting"


def fx_sessions(configuration: Configuration) -> dg.DailyPartitionsDefinition:
    """Sessions from instruments.yaml. Weekends are left out unless an instrument trades all week.

    Without sessions.end the running session is the last key, so that today's partition can grow. Dagster decides by
    the wall clock which one that is; under a replay clock (FX_CLOCK) the keys end AHEAD_OF_REPLAY behind the replay's
    now instead, so that sessions roll over while it runs, and some are keys before they have begun.
    """
    sessions = configuration.instruments.sessions
    last = sessions.end or _end_of_replay(configuration.all_week)
    # end_date is exclusive and must lie behind the last session's own end, 17:00 on the following day.
    end = None if last is None else (last + timedelta(days=2)).isoformat()
    return dg.DailyPartitionsDefinition(
        start_date=sessions.start.isoformat(),
        end_date=end,
        hour_offset=ROLLOVER_HOUR,
        timezone="America/New_York",
        exclusions=None if configuration.all_week else [f"0 {ROLLOVER_HOUR} * * 5", f"0 {ROLLOVER_HOUR} * * 6"],
        end_offset=1 if end is None else 0,
    )


def _end_of_replay(all_week: bool) -> date | None:
    """The last session that is a key under FX_CLOCK; None on the wall clock.

    None too for a replay so near to the present that the wall clock itself ends the keys soon enough.
    """
    if not os.environ.get("FX_CLOCK", "").strip():
        return None
    ahead = clock.now() + AHEAD_OF_REPLAY
    return date.fromisoformat(running_session(ahead, all_week)) if ahead < datetime.now(UTC) - ONE_DAY else None


def lookback(table: str, sessions: int, ahead: int = 0, setting: str = "") -> dg.AssetIn:
    """An input that also takes the `sessions` sessions before the run's own, and `ahead` after them. setting: see
    fx_assets.inputs.Input.

    The graph's edge stays session to session, and the IO manager reads the neighbours: a TimeWindowPartitionMapping
    would make a backfill of three sessions ask for every later session whose lookback holds one of them, and would
    cut it into one run for each step of the graph.
    """
    return dg.AssetIn(key=table.split("/"), metadata={LOOKBACK: sessions, AHEAD: ahead, SETTING: setting})


def with_neighbours(keys: list[str], every: list[str], metadata: Mapping[str, Any]) -> list[str]:
    """`keys` (a run's own sessions) and the sessions around them that an input made by `lookback` also takes.

    every: all sessions, sorted. What lies before the first or behind the last one does not exist.
    """
    before, ahead = metadata.get(LOOKBACK, 0), metadata.get(AHEAD, 0)
    if not keys or not (before or ahead):
        return keys
    position = {key: number for number, key in enumerate(every)}
    wanted = {n + step for n in map(position.__getitem__, keys) for step in range(-before, ahead + 1)}
    return [every[n] for n in sorted(wanted) if 0 <= n < len(every)]

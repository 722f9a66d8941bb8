"""The one partitions definition every partitioned table shares, and the mappings between sessions.

Sliced by FX session because that is how the market closes its books: right across daylight-saving changes,
no weekend partitions, ten years in about 2,600 keys. Instrument is a column and not a second dimension:
two-dimensional partitions would split single-run backfills and grow to tens of thousands of keys.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.sessions import ROLLOVER_HOUR

LOOKBACK, AHEAD = "fx/lookback_sessions", "fx/ahead_sessions"


def fx_sessions(configuration: Configuration) -> dg.DailyPartitionsDefinition:
    """Sessions from instruments.yaml. Weekends are left out unless an instrument trades all week."""
    sessions = configuration.instruments.sessions
    # end_date is exclusive and must lie behind the last session's own end, 17:00 on the following day.
    end = None if sessions.end is None else (sessions.end + timedelta(days=2)).isoformat()
    return dg.DailyPartitionsDefinition(
        start_date=sessions.start.isoformat(),
        end_date=end,
        hour_offset=ROLLOVER_HOUR,
        timezone="America/New_York",
        exclusions=None if configuration.all_week else [f"0 {ROLLOVER_HOUR} * * 5", f"0 {ROLLOVER_HOUR} * * 6"],
        # The running session is a key too, so that today's partition can grow.
        end_offset=1 if end is None else 0,
    )


def lookback(table: str, sessions: int, ahead: int = 0) -> dg.AssetIn:
    """An input that also takes the `sessions` sessions before the run's own, and `ahead` after them.

    The graph's edge stays session to session, and the IO manager reads the neighbours: a TimeWindowPartitionMapping
    would make a backfill of three sessions ask for every later session whose lookback holds one of them, and would
    cut it into one run for each step of the graph.
    """
    return dg.AssetIn(key=table.split("/"), metadata={LOOKBACK: sessions, AHEAD: ahead})


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

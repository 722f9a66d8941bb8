"""The one partitions definition every partitioned table shares, and the mappings between sessions.

Sliced by FX session because that is how the market closes its books: right across daylight-saving changes,
no weekend partitions, ten years in about 2,600 keys. Instrument is a column and not a second dimension:
two-dimensional partitions would split single-run backfills and grow to tens of thousands of keys.
"""

from datetime import timedelta

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.sessions import ROLLOVER_HOUR


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
    """An input that also takes the `sessions` sessions before the run's own, and `ahead` after them."""
    return dg.AssetIn(
        key=table.split("/"),
        partition_mapping=dg.TimeWindowPartitionMapping(
            start_offset=-sessions, end_offset=ahead, allow_nonexistent_upstream_partitions=True
        ),
    )


def past_sessions(table: str, sessions: int) -> dg.AssetDep:
    """A dependency on the `sessions` sessions before the run's own, its own left out."""
    return dg.AssetDep(
        table.split("/"),
        partition_mapping=dg.TimeWindowPartitionMapping(
            start_offset=-sessions, end_offset=-1, allow_nonexistent_upstream_partitions=True
        ),
    )

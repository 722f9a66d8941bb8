"""Whether any configured market is open: schedules and sensors ask here before they request a run. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.market_hours import market_hours
from fx_assets.sessions import NEW_YORK


def open_instruments(configuration: Configuration, now: datetime) -> list[str]:
    """The instruments that are traded at a moment."""
    instruments = configuration.instruments.instruments
    is_open = {name: market_hours(name).is_open(now) for name in {i.calendar for i in instruments.values()}}
    return [symbol for symbol, i in instruments.items() if is_open[i.calendar]]


def next_open(configuration: Configuration, now: datetime) -> datetime | None:
    """When the first of the markets is open, `now` included; None when none opens within forty days."""
    calendars = {i.calendar for i in configuration.instruments.instruments.values()}
    openings = [moment for name in calendars if (moment := market_hours(name).next_open(now)) is not None]
    return min(openings, default=None)


def closed_reason(configuration: Configuration, now: datetime) -> str | None:
    """Why nothing should be run: every market is closed, and when the first opens. None while one is open."""
    if open_instruments(configuration, now):
        return None
    opening = next_open(configuration, now)
    until = f"the next opens at {in_two_zones(opening)}" if opening else "none opens within forty days"
    return f"every market is closed at {in_two_zones(now)}; {until}"


def in_two_zones(moment: datetime) -> str:
    """A moment for people: UTC, and the New York time that sessions follow."""
    utc, local = moment.astimezone(UTC), moment.astimezone(NEW_YORK)
    return f"{utc:%Y-%m-%d %H:%M} UTC ({local:%a %H:%M} New York)"


def last_close(configuration: Configuration, now: datetime, within: timedelta) -> datetime | None:
    """When the last of the markets closed, all being closed at `now`; None when that is longer ago than `within`."""
    calendars = {i.calendar for i in configuration.instruments.instruments.values()}
    closes = [market_hours(name).open_intervals(now - within, now)["close"].max() for name in calendars]
    known = [close.to_pydatetime() for close in closes if not pd.isna(close)]
    return max(known, default=None)

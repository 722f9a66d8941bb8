"""When a market is open: sessions, holidays, early closes, and the bars there should be. Pure: no Dagster.

hours = market_hours("fx")                 # or "always", or an exchange's code such as XNYS
hours.expected_bars(start, end, 60)        # opens of the hourly bars that should exist
"""

from __future__ import annotations

from functools import cache

from fx_assets.market_hours.always import AlwaysOpen
from fx_assets.market_hours.fx import FxHours
from fx_assets.market_hours.hours import Hours

__all__ = ["AlwaysOpen", "FxHours", "Hours", "market_hours"]


@cache
def market_hours(calendar: str) -> Hours:
    """The hours of `fx`, `always`, or an exchange by its code.

    Raises ConfigError for a code that exchange_calendars does not have.
    """
    if calendar == "fx":
        return FxHours()
    if calendar == "always":
        return AlwaysOpen()
    from fx_assets.market_hours.exchange import ExchangeHours

    return ExchangeHours(calendar)

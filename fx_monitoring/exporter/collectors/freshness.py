"""How far the newest rows are behind the market, in trading time: silver and gold by their files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from fx_assets.configuration import Configuration
from fx_assets.freshness.newest import SEARCH_SESSIONS, WATCHED, table_lags
from fx_assets.lake import Lake, lake_root
from fx_assets.market_hours import market_hours
from fx_assets.sessions import session_bounds
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_serving.client.clock import now
from fx_serving.client.home import Stores

LOOK_BACK = timedelta(days=10)


def build(stores: Stores, configuration: Configuration) -> Collector:
    """Once a minute: bars come by the hour, and listing a table's folders costs milliseconds."""
    lake = Lake(lake_root(stores.home, configuration.data.storage))

    def collect() -> Iterator[Sample]:
        moment = now()
        yield from _market(configuration, moment)
        for table in WATCHED:
            yield from _table(lake, configuration, table, moment)

    return Collector("freshness", collect, every_s=60, limit_s=30)


def _table(lake: Lake, configuration: Configuration, table: str, moment: datetime) -> Iterator[Sample]:
    layer, _, pipeline = table.partition("/")
    lags = table_lags(lake, configuration, table, moment)
    known = [lag.lag_minutes / 60 for lag in lags if lag.lag_minutes is not None]
    keys = lake.keys(table)
    if keys and any(lag.lag_minutes is None and lag.expected is not None for lag in lags):
        # Silent for longer than anybody looks back: without a figure the others would speak for it.
        known.append(_open_hours(configuration, session_bounds(keys[-SEARCH_SESSIONS:][0])[0], moment))
    if known:
        yield Sample("data_freshness_hours", (layer, pipeline), max(known))
    if keys:  # a home without the table is new, and not late
        yield Sample("fx_data_instruments_late", (layer, pipeline), sum(not lag.fresh for lag in lags))
        yield Sample("fx_data_freshness_limit_hours", (layer, pipeline), lags[0].limit_minutes / 60)


def _open_hours(configuration: Configuration, since: datetime, moment: datetime) -> float:
    """Trading time of the market that was open longest."""
    calendars = {instrument.calendar for instrument in configuration.instruments.instruments.values()}
    opened = [market_hours(calendar).open_intervals(since, moment) for calendar in calendars]
    return max(float((open_["close"] - open_["open"]).sum() / timedelta(hours=1)) for open_ in opened)


def _market(configuration: Configuration, moment: datetime) -> Iterator[Sample]:
    calendars = {instrument.calendar for instrument in configuration.instruments.instruments.values()}
    opened = [_open_for(calendar, moment) for calendar in calendars]
    yield Sample("fx_market_open", (), float(any(seconds is not None for seconds in opened)))
    yield Sample("fx_market_open_seconds", (), max((s for s in opened if s is not None), default=0.0))


def _open_for(calendar: str, moment: datetime) -> float | None:
    """Seconds since the market opened; None while it is closed."""
    hours = market_hours(calendar)
    if not hours.is_open(moment):
        return None
    intervals = hours.open_intervals(moment - LOOK_BACK, moment)
    if intervals.empty:
        return 0.0
    return (moment - intervals["open"].iloc[-1].to_pydatetime()).total_seconds()

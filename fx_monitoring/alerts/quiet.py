"""Quiet hours: pure functions of the clock. Across daylight saving, local wall time counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fx_monitoring.alerts.configuration import DAYS, Quiet


def quiet_until(quiet: Quiet | None, now: datetime) -> datetime | None:
    """When the quiet hours that `now` lies in end, in UTC; None outside of them."""
    if quiet is None:
        return None
    zone = ZoneInfo(quiet.timezone)
    today = now.astimezone(zone).date()
    for begins in (today - timedelta(days=1), today):
        if DAYS[begins.weekday()] not in quiet.days:
            continue
        ends = begins if quiet.end > quiet.start else begins + timedelta(days=1)
        start = datetime.combine(begins, quiet.start, zone).astimezone(UTC)
        end = datetime.combine(ends, quiet.end, zone).astimezone(UTC)
        if start <= now < end:
            return end
    return None

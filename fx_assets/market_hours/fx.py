"""The foreign exchange week: Sunday 17:00 to Friday 17:00 New York, less Christmas and New Year."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from fx_assets.market_hours.closures import Closure, closures
from fx_assets.market_hours.hours import DAY_US, Hours, from_us, local_us, no_holidays
from fx_assets.sessions import NEW_YORK, ROLLOVER_HOUR


class FxHours(Hours):
    """See docs/calendar.md for where the closures come from and how well they match a broker's hours."""

    name = "fx"

    def _intervals(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        # Weeks run from Sunday to Sunday; one more on each side, so that the range's ends lie inside.
        first = from_us(start - 8 * DAY_US).date()
        sunday = first + timedelta(days=(6 - first.weekday()) % 7)
        sundays = pd.date_range(sunday, from_us(end + DAY_US).date(), freq="7D") + pd.Timedelta(hours=ROLLOVER_HOUR)
        opens, closes = local_us(sundays), local_us(sundays + pd.Timedelta(days=5))
        shut = [(c.start_us, c.end_us) for c in _closures(from_us(start).year - 1, from_us(end).year + 1)]
        opens, closes = _without(opens, closes, np.array(shut, dtype="int64"))
        kept = (closes > start) & (opens < end)
        return opens[kept], closes[kept]

    def holidays(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See Hours. Only the part of a closure that falls into the week is given."""
        rows = [
            (closure.name, kind, first, last)
            for closure in _closures(start.year - 1, end.year + 1)
            for kind, first, last in _kinds(closure)
            if last > start and first < end
        ]
        if not rows:
            return no_holidays()
        frame = pd.DataFrame(rows, columns=pd.Index(["name", "kind", "start", "end"]))
        for name in ("start", "end"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        return frame


def _closures(first: int, last: int) -> list[Closure]:
    return [closure for year in range(first, last + 1) for closure in closures(year)]


def _kinds(closure: Closure) -> list[tuple[str, datetime, datetime]]:
    """A closure cut at the rollovers inside it: the rest of a session is an early close, its first part a late open."""
    pieces = []
    start, stop = closure.start, closure.end
    while start < stop:
        rollover = _next_rollover(start)
        cut = min(rollover, stop)
        whole = start == rollover - timedelta(days=1) and cut == rollover
        kind = "holiday" if whole else "early close" if cut == rollover else "late open"
        if (rollover - timedelta(days=1)).astimezone(NEW_YORK).weekday() not in (4, 5):
            pieces.append((kind, start, cut))
        start = cut
    return pieces


def _next_rollover(moment: datetime) -> datetime:
    """The first 17:00 New York after `moment`."""
    local = moment.astimezone(NEW_YORK)
    day: date = local.date() if local.hour < ROLLOVER_HOUR else local.date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, ROLLOVER_HOUR, tzinfo=NEW_YORK).astimezone(moment.tzinfo)


def _without(opens: np.ndarray, closes: np.ndarray, shut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Open intervals less the closures (rows of start and end, sorted, disjoint)."""
    for start, end in shut:
        hit = (opens < end) & (closes > start)
        if hit.any():
            before = np.stack([opens[hit], np.minimum(closes[hit], start)])
            after = np.stack([np.maximum(opens[hit], end), closes[hit]])
            pieces = np.concatenate([before, after, np.stack([opens[~hit], closes[~hit]])], axis=1)
            opens, closes = pieces[:, pieces[0] < pieces[1]]
            order = np.argsort(opens)
            opens, closes = opens[order], closes[order]
    return opens, closes

"""The market's own count of time: weeks of 120 hours, from Sunday 17:00 to Friday 17:00 New York.

Daylight saving changes while the market is closed, so that every week has the same number of minutes.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.sessions import NEW_YORK, ROLLOVER_HOUR

HOURS = 120
MINUTES = HOURS * 60
_FIRST_SUNDAY = pd.Timestamp("1970-01-04")


def week_of(moment: datetime) -> int:
    """The number of the week that a moment lies in; the weekend belongs to the week before it."""
    local = pd.Timestamp(moment).tz_convert(NEW_YORK).tz_localize(None) - pd.Timedelta(hours=ROLLOVER_HOUR)
    return (local - _FIRST_SUNDAY) // pd.Timedelta(days=7)


def opens(first: int, last: int) -> np.ndarray:
    """When the weeks first .. last - 1 open: microseconds since 1970, UTC."""
    sundays = _FIRST_SUNDAY + pd.to_timedelta(np.arange(first, last) * 7, unit="D")
    local = pd.DatetimeIndex(sundays + pd.Timedelta(hours=ROLLOVER_HOUR)).tz_localize(NEW_YORK)
    return local.tz_convert("UTC").as_unit("us").astype("int64").to_numpy()

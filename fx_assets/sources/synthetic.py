"""The made-up market of fx_assets.synthetic as a source, for load tests and for users without data."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.sources import answers, news_content
from fx_assets.sources.base import SourceRefused
from fx_assets.sources.options import Synthetic
from fx_serving.client import clock

COLUMNS = answers.COLUMNS[1:]


class SyntheticSource:
    """Any pair AAA_BBB, and any other symbol as if it were priced in dollars; open in FX market hours."""

    def __init__(self, name: str, options: Synthetic):
        self.name, self.seed = name, options.seed

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. What lies behind the data clock has not happened yet."""
        from fx_assets.synthetic import bars, weeks

        base, quote = answers.pair(instrument) or (instrument, "USD")
        if base == quote:
            raise SourceRefused(f"{self.name}: '{instrument}' is a currency against itself. Correct instruments.yaml.")
        end = min(end, clock.now())
        if start >= end:
            return answers.empty(COLUMNS)
        first, last = weeks.week_of(start), weeks.week_of(end) + 1
        minutes = GRANULARITY_MINUTES[granularity]
        made = bars.bars(self.seed, base, quote, minutes, first, last, _closed(first, last))
        a, b = np.searchsorted(made.time, [answers.micros(start), answers.micros(end)])
        part = answers.frame(made.time[a:b], {name: values[a:b] for name, values in made.columns.items()})
        return answers.whole(part, granularity, start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource. Shocks have the headlines that go with them; others say little."""
        from fx_assets.synthetic import news, weeks

        end = min(end, clock.now())
        if start >= end:
            return news_content.frame([])
        # What happened late in the week before may be seen in this one.
        found = news.headlines(self.seed, weeks.week_of(start) - 1, weeks.week_of(end) + 1)
        made = pd.DataFrame(found).astype({"published": answers.TIME_TYPE, "first_seen": answers.TIME_TYPE})
        return news_content.within(made, start, end)

    def close(self) -> None:
        """Nothing is held open."""


def _closed(first: int, last: int) -> np.ndarray:
    """The holidays of the weeks first .. last - 1: (k, 2) microseconds, from and to."""
    from fx_assets.market_hours import market_hours
    from fx_assets.synthetic import weeks

    opens = weeks.opens(first, last)
    start, end = (pd.Timestamp(t, unit="us", tz="UTC") for t in (opens[0], opens[-1] + weeks.MINUTES * 60_000_000))
    holidays = market_hours("fx").holidays(start.to_pydatetime(), end.to_pydatetime())
    edges = [pd.DatetimeIndex(holidays[name]).as_unit("us").astype("int64").to_numpy() for name in ("start", "end")]
    return np.stack(edges, axis=1) if len(holidays) else np.empty((0, 2), "int64")

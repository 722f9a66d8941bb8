"""The synthetic market and the calendar: what load tests and every check of completeness draw on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.report import Figure, median_s, seconds

SECTION = "market"
TIMES = 5
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)


def measure() -> Iterator[Figure]:
    """Medians of CPU time, one thread."""
    from fx_assets.market_hours import FxHours
    from fx_assets.sources import make_source
    from fx_assets.sources.options import Synthetic

    source = make_source("synthetic", Synthetic(seed=3))
    bars = len(source.candles("EUR_USD", "M1", START, END))
    took = median_s(lambda: seconds(lambda: source.candles("EUR_USD", "M1", START, END)), TIMES)
    yield Figure(SECTION, "synthetic one-minute bars", bars / took, "bars/s", f"{bars:,} bars; median of {TIMES}")
    ten = datetime(2010, 1, 1, tzinfo=UTC)
    took = median_s(lambda: seconds(lambda: FxHours().expected_bars(ten, datetime(2020, 1, 1, tzinfo=UTC), 60)), TIMES)
    yield Figure(SECTION, "expected hourly bars of ten years", took * 1000, "ms", f"median of {TIMES}")

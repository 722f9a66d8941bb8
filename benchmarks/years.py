"""One, two, five and ten years of hourly candles of four instruments, from files to gold: does it grow linearly?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.range_run import Case
from benchmarks.ranges import candle_files, figures, kind_of_data, measured
from benchmarks.report import Figure

SECTION = "years"
INSTRUMENTS = ("GBP_USD", "USD_JPY", "USD_CAD", "AUD_USD")
# The shared files end in March 2022 and begin in November 2012; ten years are those before 2022-03-03, nearly.
LAST = "2022-03-03"
FIRST = {1: "2021-03-03", 2: "2020-03-03", 5: "2017-03-05", 10: "2012-11-18"}


def measure() -> Iterator[Figure]:
    """A run for each length; the last figure compares a year's share of the longest with the shortest."""
    each = {}
    for years, first in FIRST.items():
        with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
            files = candle_files(Path(folder), "H1", INSTRUMENTS, first, LAST)
            taken = measured(Case("H1", files, first, LAST))
        how = f"{kind_of_data('H1', INSTRUMENTS)} H1 candles, {first} to {LAST}"
        yield from figures(SECTION, f"{years} year{'s' if years > 1 else ''}", taken, how)
        each[years] = (taken.run_s - taken.events_s) / taken.partitions
    how = "time of a partition of a table, ten years over two; 1 is linear"
    yield Figure(SECTION, "growth", each[10] / each[2], "x", how)

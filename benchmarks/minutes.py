"""Two years of one-minute candles of three instruments, from files to gold and labels. About five minutes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.range_run import Case
from benchmarks.ranges import candle_files, figures, kind_of_data, measured
from benchmarks.report import Figure

SECTION = "minutes"
INSTRUMENTS = ("EUR_USD", "GBP_USD", "USD_JPY")
FIRST, LAST = "2018-01-01", "2019-12-30"
#: Of the prototype for one instrument (745,000 rows, CSV files, bronze to labels), measured when it was replaced.
PROTOTYPE_S = 261


def measure() -> Iterator[Figure]:
    """Three instruments in one run, then one of them, which is what the prototype was measured with."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        files = candle_files(Path(folder), "M1", INSTRUMENTS, FIRST, LAST)
        data = kind_of_data("M1", INSTRUMENTS)
        for symbols in (INSTRUMENTS, INSTRUMENTS[:1]):
            taken = measured(Case("M1", {symbol: files[symbol] for symbol in symbols}, FIRST, LAST))
            name = f"{len(symbols)} instrument{'s' if len(symbols) > 1 else ''}"
            yield from figures(SECTION, name, taken, f"{data} M1 candles, {FIRST} to {LAST}")
        whole = taken.import_s + taken.run_s
        how = f"{PROTOTYPE_S} s for 745k rows of one instrument; ours: {taken.rows:,} rows in {whole:.0f} s"
        yield Figure(SECTION, "prototype over ours", PROTOTYPE_S / whole, "x", f"{how}, event writes included")
        yield Figure(SECTION, "prototype over ours", PROTOTYPE_S / taken.work_s, "x", "without event writes")

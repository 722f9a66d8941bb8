"""Two years of one-minute features of three instruments by the run itself, by one Dask worker and by two.

python -m benchmarks.run --only dask      three runs of each, their medians: half an hour on a quiet machine
python -m benchmarks.dask                 one run of each over five weeks in small chunks, to see that it works
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.minutes import FIRST, INSTRUMENTS, LAST
from benchmarks.range_run import Case
from benchmarks.ranges import candle_files, kind_of_data, measured
from benchmarks.report import Figure, machine, markdown

SECTION = "dask"
SHORT, SHORT_CELLS = "2018-02-01", 2_000_000
WORKERS = (0, 1, 2)  # 0: without Dask
TIMES = 3
#: The steps that workers take a part in, as Dagster names them.
FEATURES = (
    *("silver__technical", "silver__microstructure", "silver__volatility", "silver__regime"),
    *("gold__market_features", "gold__features"),
)


def measure(last: str = LAST, times: int = TIMES, cells: int = 0) -> Iterator[Figure]:
    """Seconds of the feature steps, the start of the workers and Dagster's events included."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        files = candle_files(Path(folder), "M1", INSTRUMENTS, FIRST, last)
        how = f"{kind_of_data('M1', INSTRUMENTS)} M1 candles of {len(INSTRUMENTS)} instruments, {FIRST} to {last}"
        seconds: dict[int, list[float]] = {workers: [] for workers in WORKERS}
        published: dict[int, list[float]] = {workers: [] for workers in WORKERS}
        cpu: dict[int, list[float]] = {workers: [] for workers in WORKERS}
        for _ in range(times):  # in turns, so that a neighbour's load falls on all of them
            for workers in WORKERS:
                taken = measured(Case("M1", files, FIRST, last, workers=workers, cells=cells))
                seconds[workers].append(sum(taken.steps[name] for name in FEATURES))
                published[workers].append(sum(taken.published[name] for name in FEATURES))
                cpu[workers].append(taken.workers_cpu_s)
    found = {workers: statistics.median(taken) for workers, taken in seconds.items()}
    made = {n: statistics.median(a - b for a, b in zip(seconds[n], published[n], strict=True)) for n in WORKERS}
    for workers, taken in found.items():
        name = f"{workers} worker{'s' if workers > 1 else ''}" if workers else "the run itself"
        yield Figure(SECTION, f"{name}: feature tables", taken, "s", f"{how}; median of {times}")
        alone = statistics.median(published[workers])
        yield Figure(SECTION, f"{name}: publishing", alone, "s", "of it: files are shown and events written by the run")
        if workers:
            yield Figure(SECTION, f"{name}: CPU", statistics.median(cpu[workers]), "s", "of all workers together")
    yield Figure(SECTION, "one worker over two", found[1] / found[2], "x", "goal: 1.6 where two cores are free")
    yield Figure(SECTION, "one worker over two, without publishing", made[1] / made[2], "x", "the workers' part alone")
    yield Figure(
        SECTION, "the run itself over two workers", found[0] / found[2], "x", "the run writes beside computing"
    )


if __name__ == "__main__":
    found = machine()
    print(markdown(list(measure(SHORT, 1, SHORT_CELLS)), found))
    sys.exit(0)

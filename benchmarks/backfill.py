"""`fx backfill` of two years of one-minute candles of three instruments, by one process and by two: five minutes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.minutes import FIRST, INSTRUMENTS, LAST
from benchmarks.range_run import Case, configure
from benchmarks.ranges import candle_files, kind_of_data
from benchmarks.report import Figure
from fx_assets.stack.memory import MemorySampler

SECTION = "backfill"
PROCESSES = (1, 2)
_FX = [sys.executable, "-c", "from fx_serving.cli import main; main()"]
_MADE = re.compile(r"made ([\d,]+) partitions")


def measure() -> Iterator[Figure]:
    """Seconds and memory of the whole command, the start of its processes included."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        files = candle_files(Path(folder), "M1", INSTRUMENTS, FIRST, LAST)
        case = Case("M1", files, FIRST, LAST)
        how = f"{kind_of_data('M1', INSTRUMENTS)} M1 candles of {len(INSTRUMENTS)} instruments, {FIRST} to {LAST}"
        taken = {}
        for processes in PROCESSES:
            seconds, gib, partitions = _command(case, processes)
            taken[processes] = seconds
            name = f"{processes} process{'es' if processes > 1 else ''}"
            yield Figure(SECTION, f"{name}: whole", seconds, "s", f"{how}; {partitions} partitions, events included")
            yield Figure(
                SECTION,
                f"{name}: peak memory",
                gib,
                "GiB",
                "proportional set size of the command, its processes and this one",
            )
        yield Figure(SECTION, "one process over two", taken[1] / taken[2], "x", "in one run of this benchmark")


def _command(case: Case, processes: int) -> tuple[float, float, str]:
    """Seconds, peak GiB and partitions of `fx backfill --processes`, on a home with the candles in bronze."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as home:
        configure(Path(home), case)
        for symbol, file in case.files.items():
            _fx("import", "--instrument", symbol, "--granularity", case.granularity, file, "--home", home)
        started = time.perf_counter()
        with MemorySampler() as memory:
            done = _fx("backfill", "--processes", str(processes), "--home", home)
        return time.perf_counter() - started, memory.peak / 2**30, _MADE.findall(done)[-1]


def _fx(*arguments: str) -> str:
    """What a command said; RuntimeError where it failed."""
    done = subprocess.run([*_FX, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"fx {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout

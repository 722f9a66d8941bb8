"""`fx backfill` of two years of one-minute candles of three instruments, by one process and by two: five minutes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.minutes import FIRST, INSTRUMENTS, LAST
from benchmarks.range_run import Case, configure
from benchmarks.ranges import candle_files, kind_of_data
from benchmarks.report import Figure

SECTION = "backfill"
PROCESSES = (1, 2)
_FX = [sys.executable, "-c", "from fx_serving.cli import main; main()"]
_SAMPLE_S = 2.0
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
            yield Figure(SECTION, f"{name}: peak memory", gib, "GiB", "proportional set size of the command's tree")
        yield Figure(SECTION, "one process over two", taken[1] / taken[2], "x", "in one run of this benchmark")


def _command(case: Case, processes: int) -> tuple[float, float, str]:
    """Seconds, peak GiB and partitions of `fx backfill --processes`, on a home with the candles in bronze."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as home:
        configure(Path(home), case)
        for symbol, file in case.files.items():
            _fx("import", "--instrument", symbol, "--granularity", case.granularity, file, "--home", home)
        started, over, peak = time.perf_counter(), threading.Event(), [0.0]
        child = subprocess.Popen(
            [*_FX, "backfill", "--processes", str(processes), "--home", home],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        sampler = threading.Thread(target=_sample, args=(child.pid, over, peak), daemon=True)
        sampler.start()
        said, _ = child.communicate()
        seconds = time.perf_counter() - started
        over.set()
        sampler.join()
        if child.returncode or not (made := _MADE.search(said)):
            raise RuntimeError(f"fx backfill ended with {child.returncode}: {said[-2000:]}")
        return seconds, peak[0], made[1]


def _fx(*arguments: str) -> None:
    done = subprocess.run([*_FX, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"fx {arguments[0]} failed: {done.stderr[-2000:]}")


def _sample(pid: int, over: threading.Event, peak: list[float]) -> None:
    """Note the largest memory of a process and all below it."""
    while not over.wait(_SAMPLE_S):
        total = 0
        with suppress(psutil.Error):
            for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
        peak[0] = max(peak[0], total / 2**30)

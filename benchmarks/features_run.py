"""One measurement of the features in a process of its own: `python -m benchmarks.features_run memory|first BARS`."""

from __future__ import annotations

import sys
import time

import msgspec
import pandas as pd
import psutil

from benchmarks.features import Report
from fx_assets.cost.memory import peak_bytes


def main(what: str, file: str) -> Report:
    """memory: the peak while all bars are worked on. first: seconds of a first and a second call on 2,000 bars."""
    bars = pd.read_parquet(file)
    started, cpu = time.perf_counter(), time.process_time()
    from fx_assets.features import compute_features

    few = bars.head(2000)
    compute_features(few)
    first, first_cpu = time.perf_counter() - started, time.process_time() - cpu
    if what == "first":
        started = time.perf_counter()
        compute_features(few)
        return Report(first_s=first, first_cpu_s=first_cpu, second_s=time.perf_counter() - started)
    before = psutil.Process().memory_info().rss
    made = compute_features(bars)
    peak = peak_bytes()
    size = int(made.drop(columns=["instrument", "time"]).memory_usage(index=False).sum())
    return Report(rows=len(made), output=size, before=before, peak=peak)


if __name__ == "__main__":
    print(msgspec.json.encode(main(*sys.argv[1:])).decode())

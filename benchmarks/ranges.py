"""Range runs to measure: their candles, real or generated, and the process that runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.range_run import Case, Taken
from benchmarks.report import Figure
from fx_assets.runs.start import MEMORY
from fx_assets.sessions import session_bounds, session_keys

#: A folder of real candle files, such as EUR_USD_M1.parquet or m1/EURUSD_M1_2018-2019.parquet.
DATA = "FX_BENCH_DATA"
_NAMED = re.compile(r"([A-Z]{3})_?([A-Z]{3})_(M1|H1)(?![0-9A-Z])")
_TIMEOUT_S = 3600


def candle_files(folder: Path, granularity: str, instruments: Sequence[str], first: str, last: str) -> dict[str, str]:
    """One Parquet file an instrument below `folder`, cut to the sessions: of FX_BENCH_DATA, else generated."""
    given = os.environ.get(DATA)
    found = _named(Path(given), granularity) if given else {}
    files = {}
    for number, symbol in enumerate(instruments):
        frame = _real(found[symbol]) if symbol in found else generated(granularity, first, last, number)
        start, end = session_bounds(first)[0], session_bounds(last)[1]
        path = folder / f"{symbol}_{granularity}.parquet"
        frame[(frame["time"] >= start) & (frame["time"] < end)].to_parquet(path, index=False)
        files[symbol] = str(path)
    return files


def kind_of_data(granularity: str, instruments: Sequence[str]) -> str:
    """real or generated, for the description of a figure."""
    given = os.environ.get(DATA)
    real = given is not None and set(instruments) <= set(_named(Path(given), granularity))
    return "real" if real else "generated"


def _named(folder: Path, granularity: str) -> dict[str, Path]:
    """By symbol, the first file below a folder that is named after it and has a price of its own (not bid and ask)."""
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        match = _NAMED.search(path.name)
        if match and match[3] == granularity and {"open", "close"} <= set(pq.read_schema(path).names):
            found.setdefault(f"{match[1]}_{match[2]}", path)
    return found


def _real(path: Path) -> pd.DataFrame:
    """Prices of a file; of one that states a price_scale they are whole points."""
    table = pq.read_table(path)
    scale = float((table.schema.metadata or {}).get(b"price_scale", 1))
    frame = table.to_pandas()
    prices = [name for name in ("open", "high", "low", "close") if name in frame.columns]
    frame[prices] = frame[prices] / scale
    # A feed that was an hour off after a clock change would rightly be refused, and nothing be measured.
    frame = frame[is_open(frame["time"])]
    volume = {"volume": frame["volume"].astype(float)} if "volume" in frame.columns else {}
    return frame[["time", *prices]].assign(**volume)


def is_open(times: pd.Series) -> np.ndarray:
    """Whether each bar begins between Sunday's and Friday's 17:00 New York."""
    keys = session_keys(times)
    begins = {key: session_bounds(key)[0] for key in keys.unique()}
    return (times >= pd.to_datetime(keys.map(begins), utc=True)).to_numpy()


def generated(granularity: str, first: str, last: str, seed: int) -> pd.DataFrame:
    """A random walk through every minute or hour of the sessions, volatility following the time of day."""
    days = [str(day.date()) for day in pd.date_range(first, last) if day.weekday() not in (4, 5)]
    step = pd.Timedelta(minutes=1 if granularity == "M1" else 60)
    nanoseconds = np.concatenate(
        [pd.date_range(*session_bounds(d), freq=step, inclusive="left").astype("int64").to_numpy() for d in days]
    )
    rng, rows = np.random.default_rng(seed), len(nanoseconds)
    index = pd.to_datetime(nanoseconds, utc=True).as_unit("us")
    width = 2e-5 * np.sqrt(step.seconds / 60) * (1.5 + np.sin(2 * np.pi * index.hour.to_numpy() / 24))
    close = 1.2 * np.exp(np.cumsum(rng.normal(0, width)))
    opened = np.concatenate([[1.2], close[:-1]])
    reach = np.abs(rng.normal(0, width, (2, rows)))
    return pd.DataFrame(
        {
            "time": index,
            "open": opened,
            "high": np.maximum(opened, close) * (1 + reach[0]),
            "low": np.minimum(opened, close) * (1 - reach[1]),
            "close": close,
            "volume": rng.integers(1, 500, rows).astype(float),
        }
    )


def measured(case: Case) -> Taken:
    """Run a case in a process of its own. Raises RuntimeError with what it said when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.range_run"],
        input=msgspec.json.encode(case),
        env={**MEMORY, **os.environ},  # as `fx backfill` starts its child
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the run failed: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Taken)


def figures(section: str, name: str, taken: Taken, how: str) -> Iterator[Figure]:
    """What every range run tells."""
    partitions = f"{how}; {taken.rows:,} rows, {taken.sessions} sessions, {taken.partitions:,} partitions"
    whole = taken.import_s + taken.run_s
    yield Figure(section, f"{name}: whole", whole, "s", partitions)
    yield Figure(
        section, f"{name}: all but event writes", taken.work_s, "s", f"of it the import {taken.import_s:.1f} s"
    )
    events = f"{taken.events:,} events, {taken.events_s / max(taken.events, 1) * 1e3:.1f} ms each"
    yield Figure(section, f"{name}: event writes", taken.events_s, "s", events)
    cpu = taken.import_cpu_s + taken.run_cpu_s - taken.events_cpu_s
    yield Figure(section, f"{name}: CPU, all but event writes", cpu, "s", "both cores")
    share = (taken.run_s - taken.events_s) / taken.partitions * 1e3
    yield Figure(section, f"{name}: a partition of a table", share, "ms", "without event writes and import")
    yield Figure(section, f"{name}: peak memory", taken.peak_gib, "GiB", "proportional set size of the process")

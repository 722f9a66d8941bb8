"""python -m benchmarks.scale: what 100 instruments, ten years of one-minute bars and 10,000 predictions a second cost.

Measures unit costs in a short run (minutes) and multiplies them. What is measured, what is multiplied and what is only
assumed stands in each row; docs/scale.md explains the method. CPU seconds are measured: neighbours count little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.range_run import Case, Taken
from benchmarks.ranges import candle_files, kind_of_data, measured
from benchmarks.report import machine
from benchmarks.serving import bundle
from benchmarks.serving.client import encode, run_closed
from benchmarks.serving.goals import REQUESTS, ROUNDS, WARM_UP, checked, clients, cpu_seconds, one_worker

INSTRUMENTS, YEARS, RATE = 100, 10, 10_000
SESSIONS_A_YEAR, BARS = 261, 1440
MEASURED = ("EUR_USD", "GBP_USD", "USD_JPY")
FIRST, LASTS = "2018-01-01", ("2018-01-16", "2018-02-13")
# The range stated for what is multiplied: an assumption. A busy machine moves CPU figures by more.
LOW, HIGH = 0.75, 1.25


@dataclass(frozen=True)
class Row:
    """One line of the table. unit: what was measured, in words; low, high: the range of the extrapolation."""

    what: str
    unit: str
    low: float
    high: float
    in_: str
    how: str


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--years", type=float, default=YEARS)
    parser.add_argument("--rate", type=float, default=RATE, help="predictions a second")
    asked = parser.parse_args(arguments)
    found = machine()
    rows = [*tables(asked.instruments, asked.years), *predictions(asked.rate), *online(asked.instruments)]
    print("| what | unit cost | extrapolated | how |\n| --- | --- | ---: | --- |")
    for row in rows:
        span = _number(row.low) if row.low == row.high else f"{_number(row.low)} to {_number(row.high)}"
        print(f"| {row.what} | {row.unit} | {span} {row.in_} | {row.how} |")
    print("\n" + ", ".join(f"{name} {value}" for name, value in found.items()))
    return 0


def tables(instruments: int, years: float) -> Iterator[Row]:
    """Making and keeping the tables: from the difference of two lengths of the same run, so that starting drops out."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-data-") as folder:
        few, many = (candle_files(_made(Path(folder), last), "M1", MEASURED, FIRST, last) for last in LASTS)
        short, long = measured(Case("M1", few, FIRST, LASTS[0])), measured(Case("M1", many, FIRST, LASTS[1]))
        # As with many instruments: so few sessions fit a chunk that most of what it reads is their history.
        cells = int(_chunk_sessions(instruments)[0]) * len(MEASURED) * BARS * _columns()
        narrow = measured(Case("M1", few, FIRST, LASTS[0], cells=cells))
    lengths = f"{short.sessions} and {long.sessions} sessions"
    data = f"{kind_of_data('M1', MEASURED)} candles of {len(MEASURED)} pairs, {lengths}"
    bars = instruments * years * SESSIONS_A_YEAR * BARS
    yield Row(
        "bars", "", bars / 1e6, bars / 1e6, "million", f"{instruments} x {years:g} years x {SESSIONS_A_YEAR} x {BARS}"
    )
    wide = (_work_cpu(long) - _work_cpu(short)) / (long.rows - short.rows) * 1e6
    added = max(0.0, (_work_cpu(narrow) - _work_cpu(short)) / short.rows * 1e6)
    low, high = wide * bars / 1e6 / 3600 * LOW, (wide + added) * bars / 1e6 / 3600 * HIGH
    yield Row(
        "making all tables once",
        f"{wide:.1f} CPU s a million bars; {wide + added:.1f} in narrow chunks",
        low,
        high,
        "CPU h",
        f"measured, {data}; low: linear in bars; high: chunks of as few sessions as {instruments} instruments leave "
        "room for, each with its history",
    )
    days = years * SESSIONS_A_YEAR
    yield Row(
        "the same, one session of all instruments", "", low * 3600 / days, high * 3600 / days, "CPU s", "by division"
    )
    disk = (long.lake_bytes - short.lake_bytes) / (long.rows - short.rows)
    yield Row("lake on disk", f"{disk:,.0f} bytes a bar", *_span(disk * bars / 1e9), "GB", "measured; linear in bars")
    partitions = (long.partitions - short.partitions) / (long.sessions - short.sessions)
    made = partitions * days
    yield Row(
        "partitions of tables",
        f"{partitions:.1f} a session",
        made,
        made,
        "",
        "exact: a partition holds all instruments; bronze has a file an instrument and session beside them",
    )
    events = (long.events - short.events) / (long.sessions - short.sessions)
    stored = (long.dagster_bytes - short.dagster_bytes) / (long.sessions - short.sessions)
    writes = (long.events_cpu_s - short.events_cpu_s) / (long.sessions - short.sessions)
    unit = f"{stored / 1024:.0f} KiB a session ({events:.0f} writes of events)"
    yield Row("Dagster's database", unit, *_span(stored * days / 1e9), "GB", "SQLite; linear in sessions")
    unit = f"{writes * 1e3:.0f} CPU ms a session"
    yield Row("writing the events", unit, *_span(writes * days / 3600), "CPU h", "linear in sessions")
    sessions, history = _chunk_sessions(instruments)
    held = (sessions + history) * instruments * BARS * _columns() * 8 / 2**30
    yield Row(
        "memory of a run",
        f"{long.peak_gib:.2f} GiB for {long.sessions} sessions of {len(MEASURED)} pairs",
        long.peak_gib + held,
        long.peak_gib + 4 * held,
        "GiB",
        f"measured, and computed: chunks of {sessions:.0f} and {history} sessions of history, {_columns()} columns of "
        "8 bytes; low: once, high: four copies at a time (assumed)",
    )


def predictions(rate: float) -> Iterator[Row]:
    """Cores, log and database of so many predictions a second."""
    from benchmarks import prediction_log

    told = {figure.name: figure for figure in prediction_log.measure()}
    cpu, memory = _answering()
    cores = rate * cpu / 1e6
    yield Row(
        "cores of workers",
        f"{cpu:.0f} us of CPU a prediction",
        cores,
        cores / 0.6,
        "",
        f"one worker, {bundle.FEATURES} features, {bundle.ROUNDS} trees, 16 connections, measured; low: cores full; "
        "high: 60 % full, to answer in time (assumed); clients not counted",
    )
    yield Row(
        "memory of workers",
        f"{memory:.0f} MiB each",
        cores * memory / 1024,
        cores / 0.6 * memory / 1024,
        "GiB",
        "a worker a core; one model in memory",
    )
    ingest, size = told["ingest, CPU"].value, told["ingested size"].value
    yield Row(
        "cores of the ingester",
        f"{ingest:.0f} us a record",
        *_span(rate * ingest / 1e6),
        "",
        "one process ingests: above 1 it falls behind, and prediction hosts must be parted",
    )
    day = size * rate * 86_400 / 1e9
    yield Row(
        "prediction log",
        f"{size:,.0f} bytes a record",
        *_span(day),
        "GB a day",
        f"{told['ingested size'].how}; ingested",
    )


def _answering() -> tuple[float, float]:
    """CPU microseconds of a prediction, the median of some rounds, and MiB of the worker."""
    requests = [encode("/predict", {"instrument": name}) for name in bundle.INSTRUMENTS]
    taken = []
    with one_worker() as (service, worker), clients() as run:
        run(run_closed, service.url, requests, 16, WARM_UP)
        for _ in range(ROUNDS):
            before = cpu_seconds(worker)
            checked(run(run_closed, service.url, requests, 16, REQUESTS))
            taken.append((cpu_seconds(worker) - before) / REQUESTS * 1e6)
        memory = worker.memory_full_info()
    return statistics.median(taken), getattr(memory, "pss", memory.uss) / 2**20


def online(instruments: int) -> Iterator[Row]:
    """The online features of an instrument."""
    from benchmarks.predict import FEATURES
    from fx_serving.client.snapshot import FeatureBlob
    from tests.servers.serving import CLOCK

    names = [f"feature_{n}" for n in range(FEATURES)]
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        import datetime as dt

        import numpy as np

        drawn = np.random.default_rng(1).normal(size=(120, FEATURES))
        rows = [(CLOCK - dt.timedelta(minutes=119 - n), values.tolist()) for n, values in enumerate(drawn)]
        FeatureBlob.build("market_features", "EUR_USD", names, rows).write(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    whole = size * instruments / 2**20
    yield Row(
        "feature blobs, in files or Redis",
        f"{size / 1024:,.0f} KiB an instrument",
        whole,
        whole * 1.5,
        "MiB",
        f"120 rows of {FEATURES} features, measured; high: what Redis may add to a value (assumed)",
    )


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _work_cpu(taken: Taken) -> float:
    return taken.import_cpu_s + taken.run_cpu_s - taken.events_cpu_s


def _chunk_sessions(instruments: int) -> tuple[float, int]:
    """Sessions in a chunk of the widest table made of candles, and those of its history before them."""
    from fx_assets.features import max_window
    from fx_assets.inputs import lookback_sessions
    from fx_assets.tables.chunks import CELLS

    return max(1.0, CELLS // (instruments * BARS * _columns())), lookback_sessions(max_window(), 1)


def _columns() -> int:
    """Columns of a chunk of silver/technical: its own and those of its candles."""
    from fx_assets.configuration import load_configuration
    from fx_assets.schemas import build_schemas

    schemas = build_schemas(load_configuration())
    return len(schemas["silver/technical"].columns) + len(schemas["silver/candles"].columns)


def _span(value: float) -> tuple[float, float]:
    return value * LOW, value * HIGH


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    sys.exit(main())

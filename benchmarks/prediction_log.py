"""What the prediction log costs: a record on the request path, its way into the database, and reading it back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.report import Figure, median_s, seconds
from fx_serving.client.prediction_log import PredictionRecord, find, read_predictions
from fx_serving.config import LogSettings
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.ingest.ingester import Ingester
from fx_serving.ingest.sqlite import SqliteDatabase

SECTION = "prediction log"
FEATURES, RECORDS, BATCH, TIMES = 50, 20_000, 1000, 15
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def record(number: int, features: Any) -> PredictionRecord:
    """As a worker makes it; the features are encoded already, for the answer."""
    at = START + timedelta(milliseconds=number)
    return PredictionRecord(
        prediction_id=f"{number:032x}",
        request_id=None,
        logged_at=datetime.now(UTC),
        timestamp=at,
        instrument="EUR_USD",
        model="move_60m",
        version="1",
        slot="blue",
        fell_back=False,
        prediction=0.5123456789,
        label="move",
        features=features,
        overridden=[],
        feature_time=at.replace(second=0, microsecond=0),
        feature_age_s=12.5,
        latency_us=250.0,
        rollout_id=None,
        key=None,
        outlier_score=0.25,
    )


def measure() -> Iterator[Figure]:
    """One process, the disk of the temporary folder; medians."""
    features: Any = msgspec.Raw(_encode({f"feature_{n}": n / 7 for n in range(FEATURES)}))
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
        folder = Path(name)
        log = PredictionLogWriter(folder, "w0", flush_ms=1000)
        line = _encode(record(0, features))

        def add() -> None:
            for _ in range(BATCH):
                log.add(line)

        def whole() -> None:
            for number in range(BATCH):
                log.add(_encode(record(number, features)))

        how = f"{FEATURES} features, median of {TIMES} times {BATCH} records; a thread writes and fsyncs meanwhile"
        yield Figure(SECTION, "add a record", median_s(lambda: _wall(add), TIMES) / BATCH * 1e6, "us", how)
        yield Figure(
            SECTION, "make, encode and add a record", median_s(lambda: _wall(whole), TIMES) / BATCH * 1e6, "us", how
        )
        log.stop()
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
        folder = Path(name)
        log = PredictionLogWriter(folder, "w0", flush_ms=1000)
        for number in range(RECORDS):
            log.add(_encode(record(number, features)))
        log.stop()
        database = SqliteDatabase(folder / "predictions.db")
        ingester = Ingester(folder, database, LogSettings())
        cost = seconds(ingester.step)
        database.close()
        how = f"{RECORDS:,} records of {FEATURES} features, SQLite"
        yield Figure(SECTION, "ingest, CPU", cost / RECORDS * 1e6, "us/record", how)
        size = (folder / "predictions.db").stat().st_size
        yield Figure(SECTION, "ingested size", size / RECORDS, "bytes/record", how)
        for path in folder.glob("*.ndjson"):
            path.unlink()
        reading = seconds(lambda: sum(1 for _ in read_predictions(folder)))
        yield Figure(SECTION, "read back, CPU", reading / RECORDS * 1e6, "us/record", how)
        one = median_s(lambda: _wall(lambda: find(folder, f"{RECORDS // 2:032x}")), TIMES)
        yield Figure(SECTION, "find one by its id", one * 1e3, "ms", how)


def _wall(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

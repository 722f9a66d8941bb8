"""Records of the prediction log for tests, and a worker that writes them until it is killed:
python log_records.py FOLDER WORKER FIRST.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord, ShadowRecord
from fx_serving.dataplane.log import PredictionLogWriter

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def prediction(number: int, **changes: Any) -> PredictionRecord:
    """The number-th prediction: one each second, a new bar each minute."""
    at = START + timedelta(seconds=number)
    known: dict[str, Any] = {
        "prediction_id": f"p{number}",
        "request_id": None,
        "logged_at": at,
        "timestamp": at,
        "instrument": "EUR_USD",
        "model": "m",
        "version": "1",
        "slot": "blue",
        "fell_back": False,
        "prediction": 0.25,
        "label": "down",
        "features": {"a": 0.5, "b": float(number)},
        "overridden": [],
        "feature_time": at.replace(second=0),
        "feature_age_s": 1.5,
        "latency_us": 12.5,
        "rollout_id": None,
        "key": f"k{number % 7}",
        "outlier_score": 0.125,
        "route": "batch",
    }
    return PredictionRecord(**(known | changes))


def feedback(number: int, of: PredictionRecord | None = None, **changes: Any) -> FeedbackRecord:
    """The number-th feedback, on a prediction by its id, or by time."""
    known: dict[str, Any] = {
        "feedback_id": f"f{number}",
        "received_at": START + timedelta(hours=1, seconds=number),
        "prediction_id": of.prediction_id if of else None,
        "instrument": of.instrument if of else "EUR_USD",
        "timestamp": of.timestamp if of else START,
        "model": of.model if of else None,
        "realized_direction": 1,
        "realized_value": 0.5,
    }
    return FeedbackRecord(**(known | changes))


def shadow(of: PredictionRecord, **changes: Any) -> ShadowRecord:
    """What the candidate, version 2, would have said."""
    known: dict[str, Any] = {
        "prediction_id": of.prediction_id,
        "logged_at": of.logged_at + timedelta(milliseconds=3),
        "timestamp": of.timestamp,
        "instrument": of.instrument,
        "model": of.model,
        "version": "2",
        "rollout_id": "r1",
        "prediction": 0.75,
        "failed": None,
        "service_us": 100.0,
        "feature_time": of.feature_time,
    }
    return ShadowRecord(**(known | changes))


def write(path: Path, records: list, tail: bytes = b"") -> Path:
    """A segment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for record in records:
            file.write(msgspec.json.encode(record) + b"\n")
        file.write(tail)
    return path


def main() -> None:
    """Write small segments without an end, saying the number of the newest record that is durable."""
    folder, worker, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    log = PredictionLogWriter(folder, worker, flush_ms=1000, max_bytes=20_000)
    while True:
        for _ in range(20):
            record = prediction(number, prediction_id=f"{worker}-{number}")
            log.add(msgspec.json.encode(record))
            log.add(msgspec.json.encode(shadow(record)), "shadow")
            number += 1
        log.flush()
        print(number - 1, flush=True)


if __name__ == "__main__":
    main()

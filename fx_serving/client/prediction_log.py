"""Prediction and feedback records, and iterators over the log segments. Writing is the workers' business.

Segments are named <worker>-<seq>.ndjson and feedback-<worker>-<seq>.ndjson; one JSON object a line, append-
only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

Utc = Annotated[datetime, msgspec.Meta(tz=True)]


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="prediction"):
    """One answered prediction.

    `timestamp`: decision time (replay clock, or as requested); `logged_at`: wall clock.
    """

    prediction_id: str
    request_id: str | None
    logged_at: Utc
    timestamp: Utc
    instrument: str
    model: str
    version: str
    slot: str
    fell_back: bool
    prediction: float
    label: str
    features: dict[str, float]
    overridden: list[str]
    feature_time: Utc | None
    feature_age_s: float | None
    latency_us: float
    rollout_id: str | None
    key: str | None


class FeedbackRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="feedback"):
    """What really happened: direction (-1, 0, 1), value or both; for a prediction or a time."""

    feedback_id: str
    received_at: Utc
    prediction_id: str | None
    instrument: str
    timestamp: Utc
    model: str | None
    realized_direction: int | None
    realized_value: float | None


def segments(folder: Path, *, feedback: bool = False) -> dict[str, list[Path]]:
    """The log segments per worker id, oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*.ndjson")):
        is_feedback = path.name.startswith("feedback-")
        if is_feedback != feedback:
            continue
        worker = path.stem.removeprefix("feedback-").rpartition("-")[0]
        found.setdefault(worker, []).append(path)
    return found


def _lines(paths: list[Path], decoder: msgspec.json.Decoder) -> Iterator:
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                # A line without its newline is still being written, or was cut by a crash: not a record
                # (yet).
                if not line.endswith(b"\n"):
                    break
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError:
                    # Only after a crash: a segment is never appended to by a second process, so later lines
                    # are whole.
                    continue


def read_predictions(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[PredictionRecord]:
    """Predictions in the order they were logged, first record per prediction_id, since <= timestamp < until.

    `since` and `until` are aware and compare with the decision time (`timestamp`). A missing folder gives
    nothing.
    """
    decoder = msgspec.json.Decoder(PredictionRecord)
    streams = [_lines(paths, decoder) for paths in segments(folder).values()]
    seen: set[str] = set()
    for record in heapq.merge(*streams, key=lambda r: r.logged_at):
        if (since is not None and record.timestamp < since) or (until is not None and record.timestamp >= until):
            continue
        if record.prediction_id in seen:
            continue
        seen.add(record.prediction_id)
        yield record


def read_feedback(folder: Path) -> Iterator[FeedbackRecord]:
    """Feedback in the order it was received, first record per feedback_id. A missing folder gives nothing."""
    decoder = msgspec.json.Decoder(FeedbackRecord)
    streams = [_lines(paths, decoder) for paths in segments(folder, feedback=True).values()]
    seen: set[str] = set()
    for record in heapq.merge(*streams, key=lambda r: r.received_at):
        if record.feedback_id in seen:
            continue
        seen.add(record.feedback_id)
        yield record

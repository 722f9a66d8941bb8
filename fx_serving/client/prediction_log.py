"""Prediction, feedback and shadow records, and their readers. Writing is the workers' and the ingester's business.

Workers append records to segments named <worker>-<seq>.ndjson, feedback-<worker>-<seq>.ndjson and
shadow-<worker>-<seq>.ndjson, one JSON object a line; the ingester takes them from there into a database and later
deletes the segments. The readers join both: a record is in the database, in a segment, or in both, and given out once.
"""

from __future__ import annotations

import heapq
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from fx_serving.client.prediction_db import PredictionDb, PredictionLogError, reading
from fx_serving.client.prediction_records import (
    KINDS,
    PREFIXES,
    FeedbackRecord,
    Kind,
    PredictionRecord,
    Record,
    ShadowRecord,
    decode,
    first_line_hash,
    kind_of,
    lines_from,
    segments,
)

__all__ = [
    "KINDS",
    "PREFIXES",
    "FeedbackRecord",
    "Kind",
    "PredictionLogError",
    "PredictionRecord",
    "Record",
    "ShadowRecord",
    "decode",
    "find",
    "first_line_hash",
    "kind_of",
    "lines_from",
    "read_feedback",
    "read_predictions",
    "read_shadows",
    "scan",
    "segments",
    "tail",
]

_POLL_S = 0.05


def read_predictions(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[PredictionRecord]:
    """Predictions in the order they were logged, first record per prediction_id, since <= timestamp < until.

    `since` and `until` are aware and compare with the decision time (`timestamp`). A missing folder gives
    nothing. Raises PredictionLogError where the ingested ones cannot be read.
    """
    with reading(folder) as database:
        streams = [((record, False) for record in stream) for stream in _pending(folder, "prediction", database)]
        if database is not None:
            streams.append((record, True) for record in database.predictions(since, until))
        seen: set[str] = set()  # of what is not ingested: the tables hold an id once, and may hold very many
        for record, ingested in heapq.merge(*streams, key=lambda pair: pair[0].logged_at):
            if (since is not None and record.timestamp < since) or (until is not None and record.timestamp >= until):
                continue
            if record.prediction_id in seen:
                continue
            if not ingested:
                if database is not None and database.logged_before(record.prediction_id, record.logged_at):
                    continue
                seen.add(record.prediction_id)
            yield record


def read_feedback(
    folder: Path, since: datetime | None = None, until: datetime | None = None, received: datetime | None = None
) -> Iterator[FeedbackRecord]:
    """Feedback in the order it was received, first record per feedback_id. A missing folder gives nothing.

    since, until: only of decisions with since <= timestamp < until. received: only what was received after it.
    """
    with reading(folder) as database:
        streams: list[Iterator] = [] if database is None else [database.feedback(since, until, received)]
        streams += _pending(folder, "feedback", database)
        seen: set[str] = set()
        for record in heapq.merge(*streams, key=lambda r: r.received_at):
            if not _within(record, since, until) or (received is not None and record.received_at <= received):
                continue
            if record.feedback_id not in seen:
                seen.add(record.feedback_id)
                yield record


def read_shadows(folder: Path, since: datetime | None = None, until: datetime | None = None) -> Iterator[ShadowRecord]:
    """Candidates' unseen scores, since <= timestamp < until, in the order they were logged: the first of each
    prediction and rollout. A missing folder gives nothing.
    """
    with reading(folder) as database:
        streams: list[Iterator] = [] if database is None else [database.shadows(since, until)]
        streams += _pending(folder, "shadow", database)
        seen: set[tuple[str, str]] = set()
        for record in heapq.merge(*streams, key=lambda r: r.logged_at):
            key = (record.prediction_id, record.rollout_id)
            if _within(record, since, until) and key not in seen:
                seen.add(key)
                yield record


def _within(record: FeedbackRecord | ShadowRecord, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or record.timestamp >= since) and (until is None or record.timestamp < until)


def find(folder: Path, prediction_id: str) -> PredictionRecord | None:
    """One prediction by its id, wherever it is; None if nowhere. Where several workers answered under that id, the one
    logged first. Raises PredictionLogError.
    """
    with reading(folder) as database:
        ingested = None if database is None else database.prediction(prediction_id)
        found = [] if ingested is None else [ingested]
        for record in scan(folder, "prediction", prediction_id.encode(), database):
            if isinstance(record, PredictionRecord) and record.prediction_id == prediction_id:
                found.append(record)
    return min(found, key=lambda record: record.logged_at, default=None)


def tail(folder: Path, stop: Event) -> Iterator[PredictionRecord]:
    """Predictions of all workers that are logged from this call on, until `stop` is set. Blocks: for a thread."""
    begun = {path.name: path.stat().st_size for paths in segments(folder).values() for path in paths[-1:]}
    return _follow(folder, stop, begun, {path.name for paths in segments(folder).values() for path in paths[:-1]})


def _follow(folder: Path, stop: Event, begun: dict[str, int], past: set[str]) -> Iterator[PredictionRecord]:
    while not stop.wait(_POLL_S):
        for paths in segments(folder).values():
            for path in paths[-2:]:  # the newest, and the one before it, whose end may have come meanwhile
                if path.name in past:
                    continue
                for line, end in lines_from(path, begun.setdefault(path.name, 0)):
                    begun[path.name] = end
                    record = decode(line, "prediction")
                    if isinstance(record, PredictionRecord):
                        yield record


def scan(folder: Path, kind: Kind, text: bytes, database: PredictionDb | None) -> Iterator[Record]:
    """Records that hold `text`, among those not ingested yet; newest segment first."""
    for path, begin in reversed(_not_ingested(folder, kind, database)):
        with suppress(FileNotFoundError), open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size <= begin:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                at = content.find(text, begin)
                while at >= 0:
                    start, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
                    if end < 0:
                        break
                    if (record := decode(content[start:end], kind)) is not None:
                        yield record
                    at = content.find(text, end)


def _pending(folder: Path, kind: Kind, database: PredictionDb | None) -> list[Iterator[Any]]:
    """One iterator per worker over what is not ingested yet, each in the order written."""
    streams: dict[str, list[tuple[Path, int]]] = {}
    for path, begin in _not_ingested(folder, kind, database):
        streams.setdefault(path.stem.rpartition("-")[0], []).append((path, begin))
    return [_records(paths, kind) for paths in streams.values()]


def _not_ingested(folder: Path, kind: Kind, database: PredictionDb | None) -> list[tuple[Path, int]]:
    """Segments of which something is not in the database, oldest first, with where that begins.

    A segment is deleted only some time after all of it came into the database, so none is missed in between.
    """
    paths = [path for found in segments(folder, kind).values() for path in found]
    if database is None:
        return [(path, 0) for path in paths]
    offsets = database.offsets()
    names = {name for name, _ in offsets}
    pending = []
    for path in paths:
        begin = offsets.get((path.name, first_line_hash(path)), 0) if path.name in names else 0
        try:
            if path.stat().st_size > begin:
                pending.append((path, begin))
        except FileNotFoundError:
            continue
    return pending


def _records(paths: list[tuple[Path, int]], kind: Kind) -> Iterator[Record]:
    for path, begin in paths:
        for line, _ in lines_from(path, begin):
            if (record := decode(line, kind)) is not None:
                yield record

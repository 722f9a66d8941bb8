"""The prediction log's records and segments: their forms, names and lines. prediction_log reads them together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

Utc = Annotated[datetime, msgspec.Meta(tz=True)]


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="prediction"):
    """One answered prediction.

    `timestamp`: decision time (replay clock, or as requested); `logged_at`: wall clock. `route`: how it was asked
    (predict, batch, v2). `outlier_score`: the share of training rows that are less unlike the training data.
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
    outlier_score: float | None = None
    route: str = "predict"


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


class ShadowRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="shadow"):
    """What a candidate would have answered to a request that the deployed version answered.

    prediction_id: of that answer. prediction: None where it failed, and `failed` says how (exception, deadline, dead,
    nan).
    """

    prediction_id: str
    logged_at: Utc
    timestamp: Utc
    instrument: str
    model: str
    version: str
    rollout_id: str
    prediction: float | None
    failed: str | None
    service_us: float
    feature_time: Utc | None = None
    overridden: bool = False


Record = PredictionRecord | FeedbackRecord | ShadowRecord
Kind = Literal["prediction", "feedback", "shadow"]
KINDS: tuple[Kind, ...] = ("prediction", "feedback", "shadow")
#: How the names of a kind's segments begin.
PREFIXES: dict[Kind, str] = {"prediction": "", "feedback": "feedback-", "shadow": "shadow-"}
_DECODERS: dict[Kind, msgspec.json.Decoder] = {
    "prediction": msgspec.json.Decoder(PredictionRecord),
    "feedback": msgspec.json.Decoder(FeedbackRecord),
    "shadow": msgspec.json.Decoder(ShadowRecord),
}


def kind_of(path: Path) -> Kind:
    """What a segment holds, by its name."""
    for kind in KINDS[1:]:
        if path.name.startswith(PREFIXES[kind]):
            return kind
    return "prediction"


def segments(folder: Path, kind: Kind = "prediction", *, feedback: bool = False) -> dict[str, list[Path]]:
    """The log segments of a kind per worker id, oldest first. feedback=True is short for kind="feedback"."""
    wanted = "feedback" if feedback else kind
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*.ndjson")):
        if kind_of(path) == wanted:
            worker = path.stem.removeprefix(PREFIXES[wanted]).rpartition("-")[0]
            found.setdefault(worker, []).append(path)
    return found


def decode(line: bytes, kind: Kind) -> Record | None:
    """The record of a line; None for what is none (cut by a crash: a segment has one writer, so later lines are
    whole).
    """
    try:
        return _DECODERS[kind].decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def lines_from(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """The whole lines behind `offset`, each with the offset of its end; nothing where the file is gone.

    A line without its newline is still being written, or was cut by a crash: not a record (yet).
    """
    with suppress(FileNotFoundError), open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= offset:
            return
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def first_line_hash(path: Path) -> str:
    """What tells a segment from a later one of the same name; empty while its first line is not whole."""
    for line, _ in lines_from(path, 0):
        return hashlib.sha256(line).hexdigest()[:32]
    return ""

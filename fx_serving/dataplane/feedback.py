"""POST /feedback: what really happened, tied to a prediction or to an instrument and time."""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fx_serving.client import clock
from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord, segments
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.predictor import Answered

_decoder = msgspec.json.Decoder(PredictionRecord)


class FeedbackBody(BaseModel):
    """Give prediction_id, or instrument and timestamp; and realized_direction, realized_value, or both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"prediction_id": "5d41402abc4b2a76b9719d911017c592", "realized_direction": 1}]
        },
    )
    prediction_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None = None
    instrument: str | None = Field(default=None, max_length=64)
    timestamp: str | None = Field(default=None, description="ISO 8601 with offset: the decision time of the prediction")
    model: str | None = Field(default=None, max_length=128)
    realized_direction: Literal[-1, 0, 1] | None = None
    realized_value: float | None = Field(default=None, allow_inf_nan=False, description="in the label's own unit")

    @model_validator(mode="after")
    def _enough(self) -> FeedbackBody:
        if self.prediction_id is None and (self.instrument is None or self.timestamp is None):
            raise ValueError("prediction_id: is missing; give it, or instrument and timestamp")
        if self.realized_direction is None and self.realized_value is None:
            raise ValueError("realized_direction: is missing; give it (-1, 0, 1), realized_value, or both")
        return self


class FeedbackDesk:
    """Takes feedback in. The same content always has the same feedback_id and is written once per worker."""

    def __init__(self, folder: Path, log: PredictionLogWriter, recent: Mapping[str, Answered]) -> None:
        self.folder, self.log, self.recent = folder, log, recent
        self._taken: OrderedDict[str, None] = OrderedDict()

    async def take(self, body: FeedbackBody, known_instruments: frozenset[str]) -> dict[str, str | None]:
        """Record it; returns feedback_id and prediction_id. Raises ApiError 404 or 422."""
        if body.prediction_id is not None:
            instrument, timestamp, model = await self._prediction(body.prediction_id)
            for name, given, true in (
                ("instrument", body.instrument, instrument),
                ("model", body.model, model),
            ):
                if given is not None and given != true:
                    raise ApiError(422, f"{name}: {given!r}, but prediction {body.prediction_id} is of {true!r}")
        else:
            instrument, model = str(body.instrument), body.model
            if instrument not in known_instruments:
                known = ", ".join(sorted(known_instruments)) or "none"
                raise ApiError(404, f"instrument: {instrument!r} is not served. Known: {known}.")
            try:
                timestamp = clock.parse_utc(str(body.timestamp))
            except ValueError as error:
                raise ApiError(422, f"timestamp: {error}") from None
        content = [
            body.prediction_id, instrument, timestamp, model, body.realized_direction, body.realized_value,
        ]  # fmt: skip
        feedback_id = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]
        if feedback_id not in self._taken:
            record = FeedbackRecord(
                feedback_id=feedback_id,
                received_at=datetime.now(UTC),
                prediction_id=body.prediction_id,
                instrument=instrument,
                timestamp=timestamp,
                model=model,
                realized_direction=body.realized_direction,
                realized_value=body.realized_value,
            )
            if not self.log.add(msgspec.json.encode(record), "feedback"):
                raise ApiError(503, "the log cannot be written and its memory is full; see GET /health. Send it again.")
            self._taken[feedback_id] = None
            if len(self._taken) > 20_000:
                self._taken.popitem(last=False)
        return {"feedback_id": feedback_id, "prediction_id": body.prediction_id}

    async def _prediction(self, prediction_id: str) -> tuple[str, datetime, str]:
        known = self.recent.get(prediction_id)
        if known is not None:
            return known.instrument, known.timestamp, known.model
        # Another worker may have answered it just now and not have flushed yet: look twice.
        for pause_s in (0.5, 0):
            found = await asyncio.to_thread(find_prediction, self.folder, prediction_id)
            if found is not None:
                return found.instrument, found.timestamp, found.model
            await asyncio.sleep(pause_s)
        raise ApiError(
            404,
            f"prediction_id: {prediction_id!r} is not in the prediction log. Give instrument and timestamp instead.",
        )


def find_prediction(folder: Path, prediction_id: str) -> PredictionRecord | None:
    """The logged prediction of this id, newest segments first; None if there is none."""
    needle = b'"prediction_id":"' + prediction_id.encode() + b'"'
    paths = [path for of_worker in segments(folder).values() for path in of_worker]
    for path in sorted(paths, key=lambda p: p.stat().st_mtime, reverse=True):
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                at = content.find(needle)
                while at >= 0:
                    end = content.find(b"\n", at)
                    if end >= 0:
                        record = _decode(content[content.rfind(b"\n", 0, at) + 1 : end])
                        if record is not None and record.prediction_id == prediction_id:
                            return record
                    at = content.find(needle, at + 1)
    return None


def _decode(line: bytes) -> PredictionRecord | None:
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None

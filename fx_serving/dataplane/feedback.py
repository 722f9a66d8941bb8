"""POST /feedback: what really happened, tied to a prediction or to an instrument and time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fx_serving.client import clock
from fx_serving.client.prediction_db import PredictionLogError, reading
from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord, find, scan
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.predictor import Answered

_REMEMBERED = 20_000
# What a flush takes at most, besides the interval after which it begins.
_FSYNC_S = 0.3


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
    timestamp: str | None = Field(
        default=None, max_length=64, description="ISO 8601 with offset: the decision time of the prediction"
    )
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/ -]{1,128}$")] | None = None
    realized_direction: Literal[-1, 0, 1] | None = None
    realized_value: float | None = Field(default=None, allow_inf_nan=False, description="in the label's own unit")

    @model_validator(mode="after")
    def _enough(self) -> FeedbackBody:
        if self.prediction_id is None and (self.instrument is None or self.timestamp is None):
            raise ValueError("prediction_id: is missing; give it, or instrument and timestamp")
        if self.realized_direction is None and self.realized_value is None:
            raise ValueError("realized_direction: is missing; give it (-1, 0, 1), realized_value, or both")
        return self


class FeedbackAnswer(BaseModel):
    """What became of it."""

    feedback_id: str = Field(description="the same for the same content")
    prediction_id: str | None
    status: Literal["recorded", "known"] = Field(description="known: the same was sent before; nothing was written")
    late: bool = Field(description="the decision lies further back than feedback.late_after_s")
    matched: int = Field(description="logged predictions it speaks of")
    note: str | None = Field(default=None, description="what is unusual about it, in words")


_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
#: What POST /feedback may answer besides, for its documentation.
RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such prediction, or no such instrument", "content": _PROBLEM},
    410: {"description": "The prediction was deleted since (log.keep_rows_days)", "content": _PROBLEM},
    503: {"description": "The log cannot be read or written now", "content": _PROBLEM},
}


class _Subject(NamedTuple):
    instrument: str
    timestamp: datetime
    model: str | None


class FeedbackDesk:
    """Takes feedback in. The same content always has the same feedback_id and is kept once."""

    def __init__(
        self,
        folder: Path,
        log: PredictionLogWriter,
        recent: Mapping[str, Answered],
        late_after_s: float = 604_800,
    ) -> None:
        self.folder, self.log, self.recent, self.late_after_s = folder, log, recent, late_after_s
        self._taken: OrderedDict[str, None] = OrderedDict()
        # So long after an answer its record is in the log, whichever worker gave it.
        self._logged_s = log.interval_s + _FSYNC_S

    async def take(self, body: FeedbackBody, known_instruments: frozenset[str]) -> FeedbackAnswer:
        """Record it. Raises ApiError 404, 410, 422 or 503."""
        given = _given_time(body)
        if body.prediction_id is not None:
            subject, matched = await self._prediction(body.prediction_id), 1
            _agree(body, subject, given)
        else:
            subject = _Subject(str(body.instrument), given or clock.now(), body.model)
            if subject.instrument not in known_instruments:
                known = ", ".join(sorted(known_instruments)) or "none"
                raise ApiError(404, f"instrument: {subject.instrument!r} is not served. Known: {known}.")
            matched = await self._ask(self._count, subject)
        content = [body.prediction_id, *subject, body.realized_direction, body.realized_value]
        feedback_id = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]
        known = feedback_id in self._taken or await self._ask(self._knows, feedback_id)
        # Two requests may have waited above at the same time: from here to the note nothing waits.
        known = known or feedback_id in self._taken
        if not known:
            self._write(feedback_id, body, subject)
        self._note(feedback_id)
        late = (clock.now() - subject.timestamp).total_seconds() > self.late_after_s
        return FeedbackAnswer(
            feedback_id=feedback_id,
            prediction_id=body.prediction_id,
            status="known" if known else "recorded",
            late=late,
            matched=matched,
            note=_words(late, matched, self.late_after_s),
        )

    def _write(self, feedback_id: str, body: FeedbackBody, subject: _Subject) -> None:
        record = FeedbackRecord(
            feedback_id=feedback_id,
            received_at=datetime.now(UTC),
            prediction_id=body.prediction_id,
            instrument=subject.instrument,
            timestamp=subject.timestamp,
            model=subject.model,
            realized_direction=body.realized_direction,
            realized_value=body.realized_value,
        )
        if not self.log.add(msgspec.json.encode(record), "feedback"):
            raise ApiError(503, "the log cannot be written and its memory is full; see GET /health. Send it again.")

    def _note(self, feedback_id: str) -> None:
        self._taken[feedback_id] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)

    async def _prediction(self, prediction_id: str) -> _Subject:
        known = self.recent.get(prediction_id)
        held = known and _Subject(known.instrument, known.timestamp, known.model)
        if known and held and known.question.request_id is None:  # made here: nobody else has it
            return held
        if held:
            await self._ask(self.log.flush)
        for pause_s in (self._logged_s, 0):
            if (first := await self._first(prediction_id)) is not None:
                return first
            deleted = await self._ask(self._forgotten, prediction_id)
            if deleted is not None:
                raise ApiError(
                    410,
                    f"prediction_id: {prediction_id!r} was deleted on {deleted:%Y-%m-%d}, being older than "
                    "log.keep_rows_days. Give instrument and timestamp instead.",
                )
            await asyncio.sleep(pause_s)
        if held:  # answered here, and not logged: the disk is full, say
            return held
        raise ApiError(
            404,
            f"prediction_id: {prediction_id!r} is not in the prediction log. Give instrument and timestamp instead.",
        )

    async def _first(self, prediction_id: str) -> _Subject | None:
        """What was logged first under the id. Of an id that the asker gave, another worker may have answered before and
        not have written it down yet.
        """
        found = await self._ask(find, self.folder, prediction_id)
        if found is not None and found.request_id is not None:
            age_s = (datetime.now(UTC) - found.logged_at).total_seconds()
            if age_s < self._logged_s:
                await asyncio.sleep(min(self._logged_s, self._logged_s - age_s))
                found = await self._ask(find, self.folder, prediction_id) or found
        return found and _Subject(found.instrument, found.timestamp, found.model)

    async def _ask(self, look: Any, *values: Any) -> Any:
        """Look into the log, in a thread."""
        try:
            return await asyncio.to_thread(look, *values)
        except (PredictionLogError, OSError) as error:
            raise ApiError(503, f"the prediction log cannot be read now: {error}. Send it again.") from None

    def _forgotten(self, prediction_id: str) -> datetime | None:
        with reading(self.folder) as database:
            return None if database is None else database.forgotten(prediction_id)

    def _knows(self, feedback_id: str) -> bool:
        with reading(self.folder) as database:
            if database is not None and database.knows_feedback(feedback_id):
                return True
            return any(True for _ in scan(self.folder, "feedback", feedback_id.encode(), database))

    def _count(self, subject: _Subject) -> int:
        self.log.flush()  # what this worker answered a moment ago
        text = msgspec.json.encode(subject.timestamp)
        with reading(self.folder) as database:
            logged = 0 if database is None else database.count(*subject)
            waiting = {
                record.prediction_id
                for record in scan(self.folder, "prediction", text, database)
                if isinstance(record, PredictionRecord)
                and (record.instrument, record.timestamp) == subject[:2]
                and subject.model in (None, record.model)
            }
            return logged + len(waiting)


def _given_time(body: FeedbackBody) -> datetime | None:
    if body.timestamp is None:
        return None
    try:
        return clock.parse_utc(body.timestamp)
    except ValueError as error:
        raise ApiError(422, f"timestamp: {error}") from None


def _agree(body: FeedbackBody, true: _Subject, given: datetime | None) -> None:
    for name, said, is_so in (
        ("instrument", body.instrument, true.instrument),
        ("model", body.model, true.model),
        ("timestamp", given and clock.to_iso(given), clock.to_iso(true.timestamp)),
    ):
        if said is not None and said != is_so:
            raise ApiError(422, f"{name}: {said!r}, but prediction {body.prediction_id} is of {is_so!r}")


def _words(late: bool, matched: int, late_after_s: float) -> str | None:
    notes = []
    if matched == 0:
        notes.append("no prediction of this instrument and time is logged yet; it counts for those of the next minute")
    if late:
        days = late_after_s / 86_400
        notes.append(f"the decision is more than {days:g} days old; rollouts that have ended ignore it")
    return "; ".join(notes) or None

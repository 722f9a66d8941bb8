"""Many questions in one POST /predict: each is routed, logged and counted by itself."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import msgspec

from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.predictor import Predictor, kept_for_blue
from fx_serving.dataplane.request import PredictRequest, checked, explain_refusal
from fx_serving.dataplane.request import decode as decode_request

_AT_ONCE = 8  # between them others get their turn


class _Peek(msgspec.Struct):
    requests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instruments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Requests(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[msgspec.Raw]


class _Instruments(msgspec.Struct, forbid_unknown_fields=True):
    instruments: list[str]
    timestamp: str | None = None
    model: str | None = None
    features: dict[str, Any] | None = None
    key: str | None = None
    request_id: str | None = None


class _Error(msgspec.Struct):
    status: int
    detail: str


class _Failed(msgspec.Struct):
    error: _Error
    instrument: str | None


class _Answers(msgspec.Struct):
    predictions: list[msgspec.Raw | _Failed]
    answered: int


_peek = msgspec.json.Decoder(_Peek)
_requests = msgspec.json.Decoder(_Requests)
_instruments = msgspec.json.Decoder(_Instruments)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, most: int) -> list[PredictRequest | ApiError] | None:
    """The questions of a batch, a refusal in place of each that cannot be asked; None if the body is none.

    Raises ApiError 422 for a batch that is wrong as a whole, 413 for one of more than `most` questions.
    """
    try:
        found = _peek.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if found.requests is msgspec.UNSET and found.instruments is msgspec.UNSET:
        return None
    if found.requests is not msgspec.UNSET and found.instruments is not msgspec.UNSET:
        raise ApiError(422, "requests, instruments: give one of both")
    many = "requests" if found.requests is not msgspec.UNSET else "instruments"
    try:
        if many == "requests":
            rows = _requests.decode(body).requests
            _count(len(rows), most, "requests")
            return [_one(bytes(row)) for row in rows]
        shared = _instruments.decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(422, _refusal(str(error), many)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # inside of what was only skipped above
        raise ApiError(422, f"body: not valid JSON ({error}).") from None
    _count(len(shared.instruments), most, "instruments")
    return [_of(shared, instrument) for instrument in shared.instruments]


_FIELDS = _Instruments.__struct_fields__
_OF_ONE = frozenset(PredictRequest.__struct_fields__)


def _refusal(message: str, many: str) -> str:
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown and many == "requests" and unknown[1] in _OF_ONE:
        return f"{unknown[1]}: with requests, put it into each request"
    if unknown and unknown[1] == "instrument":
        return "instrument: with instruments, put it into that list"
    return explain_refusal(message, _FIELDS if many == "instruments" else _Requests.__struct_fields__)


def _count(n: int, most: int, field: str) -> None:
    if n == 0:
        raise ApiError(422, f"{field}: is empty; give at least one")
    if n > most:
        raise ApiError(
            413, f"{field}: {n}, and at most {most} are taken at once (limits.batch_rows). Send them in parts."
        )


def _one(row: bytes) -> PredictRequest | ApiError:
    try:
        return decode_request(row)
    except ApiError as error:
        return error


def _of(shared: _Instruments, instrument: str) -> PredictRequest | ApiError:
    # Ids of their own, so that a batch sent again is answered as before.
    request_id = f"{shared.request_id}:{instrument}" if shared.request_id is not None else None
    try:
        return checked(
            PredictRequest(instrument, shared.timestamp, shared.model, shared.features, shared.key, request_id)
        )
    except ApiError as error:
        return error


async def answer(
    predictor: Predictor,
    questions: list[PredictRequest | ApiError],
    forced: str | None,
    until: float,
    route: str = "batch",
) -> bytes:
    """The batch's answer. Raises the first refusal where not one question could be answered."""
    answers: list[msgspec.Raw | _Failed] = []
    first: ApiError | None = None
    whole_s = until - time.monotonic()
    for i, question in enumerate(questions):
        if i and i % _AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(question, ApiError):
                raise question
            if time.monotonic() > until:
                raise ApiError(504, "deadline: passed before it was this question's turn. Send fewer.", "deadline")
            kept_s = kept_for_blue(len(questions) - 1 - i, whole_s)
            answers.append(msgspec.Raw(await predictor.answer(question, forced, until, route, kept_s)))
        except ApiError as error:
            first = first or error
            predictor.metrics.refused(error.status, error.reason)
            name = None if isinstance(question, ApiError) else question.instrument
            answers.append(_Failed(_Error(error.status, error.detail), name))
    answered = sum(isinstance(one, msgspec.Raw) for one in answers)
    if answered == 0 and first is not None:
        raise first
    return _encode(_Answers(answers, answered))

"""The body of POST /predict: decoding and validation. Every refusal names the field."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from fx_serving.client import clock
from fx_serving.dataplane.errors import ApiError

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One question, as sent."""

    instrument: str
    timestamp: str | None = None
    model: str | None = None
    features: dict[str, Any] | None = None
    key: str | None = None
    request_id: str | None = None


_decoder = msgspec.json.Decoder(PredictRequest)
_PATH = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<field>[^`]*)`$", re.DOTALL)


def decode(body: bytes) -> PredictRequest:
    """The request in `body`. Raises ApiError 422 naming the field."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        _name_non_finite(body)
        raise ApiError(422, explain_refusal(str(error), PredictRequest.__struct_fields__)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _name_non_finite(body)
        raise ApiError(
            422, f'body: not valid JSON ({error}). Send an object such as {{"instrument": "GBP_USD"}}.'
        ) from None
    return checked(request)


def checked(request: PredictRequest) -> PredictRequest:
    """The request, if its id and key may be used. Raises ApiError 422 naming the field."""
    if request.request_id is not None and not _ID.fullmatch(request.request_id):
        raise ApiError(422, "request_id: must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -")
    if request.key is not None and not 0 < len(request.key) <= 256:
        raise ApiError(422, "key: must be 1 to 256 characters long")
    return request


def explain_refusal(message: str, fields: tuple[str, ...]) -> str:
    """msgspec's words for what it refused, as `field: what`."""
    match = _PATH.match(message)
    if match:
        return f"{match['field'] or 'body'}: {match['what']}"
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        return f'{missing[1]}: is missing. Name an instrument such as "GBP_USD".'
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown:
        return f"{unknown[1]}: no such field. Known: {', '.join(fields)}."
    return f'body: {message}. Send an object such as {{"instrument": "GBP_USD"}}.'


def _name_non_finite(body: bytes) -> None:
    """Python's parser takes NaN, Infinity and 1e999, which are not JSON: it says which feature it was."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return
    features = content.get("features") if isinstance(content, dict) else None
    for name, value in features.items() if isinstance(features, dict) else ():
        if isinstance(value, float) and not math.isfinite(value):
            # That parser takes half a character, too, which no answer can hold.
            shown = name.encode("utf-8", "replace").decode()
            raise ApiError(422, f"features.{shown}: {value} is not a finite number")


def overrides(request: PredictRequest, position: dict[str, int], model: str) -> dict[int, float]:
    """Input position -> value for the features the request gives itself.

    Raises ApiError 422 naming the feature.
    """
    made: dict[int, float] = {}
    for name, value in (request.features or {}).items():
        place = position.get(name)
        if place is None:
            known = ", ".join(position)
            raise ApiError(422, f"features.{name}: model {model} has no such feature. Known: {known}.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ApiError(422, f"features.{name}: must be a number, not {_shown(value)}")
        # Written so that NaN fails. The model takes float32: what overflows there is not finite for it.
        if not abs(value) <= _FLOAT32_MAX:
            raise ApiError(
                422,
                f"features.{name}: {value:.3g} is not a finite 32-bit number"
                if isinstance(value, float)
                else f"features.{name}: is too large for a 32-bit number",
            )
        made[place] = float(value)
    return made


def _shown(value: Any) -> str:
    """A value that is no number; of what may be nested without end, only what it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value)[:40]


def decision_time(request: PredictRequest) -> tuple[datetime, bool]:
    """(the time to score as of, whether the request gave it).

    Raises ApiError 422 for a malformed or future time.
    """
    now = clock.now()
    if request.timestamp is None:
        return now, False
    try:
        moment = clock.parse_utc(request.timestamp)
    except ValueError as error:
        raise ApiError(422, f"timestamp: {error}") from None
    if moment > now:
        raise ApiError(
            422,
            f"timestamp: {clock.to_iso(moment)} lies in the future (it is {clock.to_iso(now)}). "
            "Leave timestamp out to score as of now.",
        )
    return moment, True

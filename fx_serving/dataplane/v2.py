"""The Open Inference Protocol (version 2) beside the platform's own routes: tensors in, probabilities out.

Each row is a prediction like any other: routed, logged, counted. Features must be given, or an instrument whose newest
ones are taken for those that are not.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.predictor import Predictor, kept_for_blue
from fx_serving.dataplane.request import PredictRequest, checked, explain_refusal
from fx_serving.dataplane.slots import Deployment

NAME = "fx serving"
OUTPUT = "probabilities"
INPUT = "input"
_AT_ONCE = 8
_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Target(NamedTuple):
    """What a path asks for."""

    model: str
    version: str | None


class Tensor(msgspec.Struct):
    """One input."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """What a request may say beyond the protocol."""

    instrument: str = ""
    key: str | None = None
    slot: Literal["blue", "green"] | None = None


class Wanted(msgspec.Struct):
    """One output asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: Parameters = msgspec.field(default_factory=Parameters)
    outputs: list[Wanted] | None = None


class _Score(msgspec.Struct):
    prediction: float
    prediction_id: str
    model_version: str
    slot: str


_decoder = msgspec.json.Decoder(InferRequest)
_score = msgspec.json.Decoder(_Score)


def target(path: str) -> Target | None:
    """The model and version of an inference path; None for any other path."""
    if not path.startswith("/v2/"):
        return None
    match = _PATH.fullmatch(path)
    return Target(match[1], match[2]) if match else None


def find(deployment: Deployment, model: str, version: str | None) -> tuple[LoadedBundle, str | None]:
    """(a bundle of the model, the slot that `version` names). Raises ApiError 404."""
    slots = deployment.models.get(model)
    if slots is None:
        known = ", ".join(sorted(deployment.models)) or "none"
        raise ApiError(404, f"model: {model!r} is not deployed. Known: {known}.", "unknown_model")
    if version is not None:
        if slots.blue and slots.blue.version == version:
            return slots.blue, "blue"
        if slots.green and slots.green.route.version == version:
            return slots.green.hot, "green"
        known = ", ".join(
            [*([slots.blue.version] if slots.blue else []), *([slots.green.route.version] if slots.green else [])]
        )
        raise ApiError(404, f"version: {version!r} of {model} does not answer now. Those that do: {known}.", "version")
    bundle = slots.blue or (slots.green.hot if slots.green else None)
    if bundle is None:
        raise ApiError(503, f"model {model} has no deployed version.", "no_model")
    return bundle, None


async def infer(predictor: Predictor, asked: Target, body: bytes, until: float, most: int) -> bytes:
    """The answer to an inference request. Raises ApiError."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(422, explain_refusal(str(error), InferRequest.__struct_fields__)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(422, f"body: not valid JSON ({error}).") from None
    bundle, slot = find(predictor.slots.current, *asked)
    if request.outputs is not None and [one.name for one in request.outputs] != [OUTPUT]:
        raise ApiError(422, f"outputs: the only one is {OUTPUT!r}")
    told = request.parameters
    if slot is not None and told.slot not in (None, slot):
        raise ApiError(422, f"parameters.slot: version {asked.version} answers in {slot}, not in {told.slot}")
    rows = _rows(request.inputs, bundle, told.instrument, most)
    scores: list[_Score] = []
    whole_s = until - time.monotonic()
    for i, features in enumerate(rows):
        if i and i % _AT_ONCE == 0:
            await asyncio.sleep(0)
        if time.monotonic() > until:
            raise ApiError(504, f"deadline: passed before row {i}. Send fewer rows.", "deadline")
        question = checked(PredictRequest(told.instrument, None, asked.model, features, told.key, None))
        kept_s = kept_for_blue(len(rows) - 1 - i, whole_s)
        scores.append(_score.decode(await predictor.answer(question, slot or told.slot, until, "v2", kept_s)))
    output = {"name": OUTPUT, "datatype": "FP64", "shape": [len(scores)], "data": [one.prediction for one in scores]}
    answer: dict[str, Any] = {
        "model_name": asked.model,
        "model_version": scores[0].model_version,
        "parameters": {
            "prediction_ids": [one.prediction_id for one in scores],
            "slots": [one.slot for one in scores],
            "model_versions": [one.model_version for one in scores],
        },
        "outputs": [output],
    }
    return msgspec.json.encode(answer if request.id is None else {**answer, "id": request.id})


def _rows(inputs: list[Tensor], bundle: LoadedBundle, instrument: str, most: int) -> list[dict[str, float]]:
    """The rows as feature name -> value. Raises ApiError naming the tensor."""
    if not inputs:
        raise ApiError(422, f"inputs: is empty. Give {INPUT!r} [n, {len(bundle.names)}], or one tensor a feature.")
    names = [tensor.name for tensor in inputs]
    if names == [INPUT]:
        tensor, width = inputs[0], len(bundle.names)
        if len(tensor.shape) != 2 or tensor.shape[1] != width:
            raise ApiError(422, f"inputs.{INPUT}: shape {tensor.shape}, but model {bundle.model} takes [n, {width}]")
        _sized(tensor.shape[0], most)
        flat = _values(tensor)
        keys = bundle.names
        return [dict(zip(keys, flat[i : i + width], strict=True)) for i in range(0, len(flat), width)]
    if len(set(names)) != len(names):
        raise ApiError(422, "inputs: a tensor is given twice")
    columns: dict[str, list[float]] = {}
    for tensor in inputs:
        if tensor.name not in bundle.position:
            known = ", ".join(bundle.names)
            raise ApiError(422, f"inputs.{tensor.name}: model {bundle.model} has no such feature. Known: {known}.")
        if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise ApiError(422, f"inputs.{tensor.name}: shape {tensor.shape}, but one feature is [n] or [n, 1]")
        _sized(tensor.shape[0], most)
        columns[tensor.name] = _values(tensor)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ApiError(422, "inputs: the tensors have different numbers of rows")
    lacking = [name for name in bundle.names if name not in columns]
    if lacking and not instrument:
        raise ApiError(
            422, f"inputs: {lacking[0]} is missing. Give all features, or parameters.instrument to take it from."
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _sized(rows: int, most: int) -> None:
    if rows == 0:
        raise ApiError(422, "inputs: no rows; give at least one")
    if rows > most:
        raise ApiError(413, f"inputs: {rows} rows, and at most {most} are taken at once (limits.batch_rows).")


def _values(tensor: Tensor) -> list[float]:
    """The tensor's values in a row; nested lists are taken, too."""
    if tensor.datatype not in ("FP32", "FP64"):
        raise ApiError(422, f"inputs.{tensor.name}: datatype {tensor.datatype!r}; send FP32 or FP64")
    values = tensor.data
    if values and all(isinstance(row, list) for row in values):
        values = [value for row in values for value in row]
    if len(values) != math.prod(tensor.shape):
        raise ApiError(422, f"inputs.{tensor.name}: {len(values)} values for shape {tensor.shape}")
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ApiError(422, f"inputs.{tensor.name}: value {i} is not a number")
    return values


def describe(bundle: LoadedBundle, versions: list[str]) -> dict[str, Any]:
    """A model's metadata in the protocol's form."""
    manifest = bundle.manifest
    return {
        "name": bundle.model,
        "versions": versions,
        "platform": {"onnx": "onnx_onnxruntime", "xgboost": "xgboost_ubj"}[manifest.engine],
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, len(bundle.names)]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP64", "shape": [-1]}],
        "parameters": {"features": list(bundle.names), "instruments": list(manifest.instruments)},
    }


def versions_of(deployment: Deployment, model: str) -> list[str]:
    """The versions of a model that answer now: blue, then green."""
    slots = deployment.models[model]
    found = [slots.blue.version] if slots.blue else []
    return [*found, slots.green.route.version] if slots.green else found

"""The documentation of the Open Inference Protocol's inference routes. Declarations only."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field


class InferTensor(BaseModel):
    """A tensor of features: `input` [n, features] in the manifest's order, or one [n] a feature by its name."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: Literal["FP32", "FP64"]
    data: list[float | list[float]]
    parameters: dict[str, Any] | None = None


class InferParameters(BaseModel):
    """What a request may say beyond the protocol."""

    model_config = ConfigDict(extra="forbid")
    instrument: str = Field(default="", description="features that are not given are taken from its newest ones")
    key: str | None = Field(default=None, min_length=1, max_length=256)
    slot: Literal["blue", "green"] | None = None


class InferOutput(BaseModel):
    """An output asked for: probabilities is the only one."""

    name: Literal["probabilities"]
    parameters: dict[str, Any] | None = None


class InferBody(BaseModel):
    """An inference request."""

    model_config = ConfigDict(extra="forbid")
    inputs: list[InferTensor] = Field(min_length=1)
    id: str | None = None
    parameters: InferParameters = InferParameters()
    outputs: list[InferOutput] | None = Field(default=None, min_length=1, max_length=1)


class InferredTensor(BaseModel):
    """P(positive label) of each row."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferredParameters(BaseModel):
    """Of each row: its prediction's id (for POST /feedback), and who scored it."""

    prediction_ids: list[str]
    slots: list[str]
    model_versions: list[str]


class InferAnswer(BaseModel):
    """The answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: InferredParameters
    outputs: list[InferredTensor]


class InferProblem(BaseModel):
    """What was wrong, in the protocol's form."""

    error: str


_PROBLEMS = {
    404: "No such model or version deployed",
    408: "The body did not arrive in time",
    413: "The body is too long, or has too many rows",
    422: "A field is malformed; it is named",
    429: "As many predictions as allowed are waiting: ask again after Retry-After",
    500: "The model cannot score this",
    503: "No model deployed, or a feature is missing, null, stale or corrupt",
    504: "The deadline passed before the request's turn",
}
_EXAMPLE = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [61.25, 0.0021]}]}


def document(app: FastAPI) -> None:
    """Declare the inference routes for the OpenAPI document; requests never reach these functions."""
    schema = InferBody.model_json_schema(ref_template="{model}")
    inner = schema.pop("$defs", {})
    body = inlined(schema, inner)
    extra: dict[str, Any] = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": _EXAMPLE}}}
    }
    responses: dict[int | str, dict[str, Any]] = {200: {"model": InferAnswer}}
    responses |= {status: {"model": InferProblem, "description": text} for status, text in _PROBLEMS.items()}

    async def of_model(name: str) -> None:
        raise AssertionError("answered by HotRoutes before FastAPI sees it")

    async def of_version(name: str, version: str) -> None:
        raise AssertionError("answered by HotRoutes before FastAPI sees it")

    for path, endpoint, name in (
        ("/v2/models/{name}/infer", of_model, "v2_infer"),
        ("/v2/models/{name}/versions/{version}/infer", of_version, "v2_infer_version"),
    ):
        app.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            name=name,
            operation_id=name,
            summary="Probabilities of the rows of a tensor",
            tags=["open inference protocol"],
            openapi_extra=extra,
            responses=responses,
        )


def inlined(schema: Any, inner: dict[str, Any]) -> Any:
    """The schema with its references replaced by what they name."""
    if isinstance(schema, list):
        return [inlined(value, inner) for value in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("$ref") in inner:
        return inlined({**inner[schema["$ref"]], **{k: v for k, v in schema.items() if k != "$ref"}}, inner)
    return {key: inlined(value, inner) for key, value in schema.items()}

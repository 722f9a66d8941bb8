"""The documentation of the hot routes, and /docs without the internet. Declarations only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from fx_serving.dataplane import openapi_v2

_PREDICTION = {
    "prediction": 0.7312,
    "label": "move",
    "confidence": 0.7312,
    "model": "move_60m",
    "model_version": "3",
    "slot": "blue",
    "fell_back": False,
    "instrument": "GBP_USD",
    "features_used": {"rsi_14": 61.25, "atr_14": 0.0021},
    "outlier_score": 0.42,
    "feature_time": "2022-03-04T21:00:00Z",
    "feature_age_s": 1800.0,
    "prediction_id": "5d41402abc4b2a76b9719d911017c592",
    "timestamp": "2022-03-04T21:30:00Z",
}


class PredictBody(BaseModel):
    """A question. Only the instrument is needed."""

    model_config = ConfigDict(extra="forbid")
    instrument: str = Field(description="such as GBP_USD; the model's manifest lists those it serves")
    timestamp: str | None = Field(
        default=None, description="ISO 8601 with offset: score as of then, from the rows still held. Default: now"
    )
    model: str | None = Field(
        default=None, description="default: default_model of serving.yaml, or the only one deployed"
    )
    features: dict[str, float] | None = Field(
        default=None, description="values that replace the store's; with all of them the store is not asked"
    )
    key: str | None = Field(
        default=None, min_length=1, max_length=256, description="equal keys stay in one slot. Default: request_id"
    )
    request_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9._:-]{1,64}$",
        description="becomes the prediction_id; the same id again gives the same answer",
    )


class PredictAnswer(BaseModel):
    """An answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PREDICTION]})
    prediction: float = Field(description="P(positive label)")
    label: str = Field(description="the positive label where prediction >= the model's threshold, else the negative")
    direction: str | None = Field(default=None, description="up or down; models of direction and triple_barrier only")
    confidence: float = Field(description="max(p, 1 - p)")
    model: str
    model_version: str
    slot: str = Field(description="blue or green: which one scored")
    fell_back: bool = Field(description="the candidate failed and blue answered instead")
    instrument: str
    features_used: dict[str, float] = Field(description="what was scored, in the model's order")
    outlier_score: float | None = Field(
        description="share of training rows less unlike training data than this input; null where unknown"
    )
    feature_time: str | None = Field(description="the oldest feature row used; null if all were given")
    feature_age_s: float | None = Field(description="age of that row at `timestamp`")
    prediction_id: str = Field(description="for POST /feedback")
    timestamp: str = Field(description="the decision time")


class Contribution(BaseModel):
    """One feature's addition to the log odds."""

    feature: str
    value: float
    contribution: float


class Explanation(BaseModel):
    """Which features made the score what it is: the ten largest, by size."""

    base: float = Field(description="the model's mean output, in log odds")
    contributions: list[Contribution]
    method: str


class ExplainedAnswer(PredictAnswer):
    """An answer to ?explain=true."""

    explanation: Explanation | None = None
    explanation_note: str | None = Field(default=None, description="why there is no explanation")


class BatchBody(BaseModel):
    """Many questions, each by itself."""

    model_config = ConfigDict(extra="forbid")
    requests: list[PredictBody] = Field(min_length=1)


class InstrumentsBody(BaseModel):
    """One question about many instruments. Each prediction's id is `request_id:instrument`."""

    model_config = ConfigDict(extra="forbid")
    instruments: list[str] = Field(min_length=1)
    timestamp: str | None = None
    model: str | None = None
    features: dict[str, float] | None = None
    key: str | None = Field(default=None, min_length=1, max_length=256)
    request_id: str | None = Field(default=None, pattern="^[A-Za-z0-9._:-]{1,64}$")


class RowError(BaseModel):
    """Why one question of a batch was not answered."""

    status: int
    detail: str


class FailedRow(BaseModel):
    """In place of an answer."""

    error: RowError
    instrument: str | None


class BatchAnswer(BaseModel):
    """The answers, in the order of the questions."""

    predictions: list[PredictAnswer | FailedRow]
    answered: int


class Problem(BaseModel):
    """What was wrong, where, and what to do."""

    detail: str


_EXAMPLES = {
    "now": {"summary": "As of now", "value": {"instrument": "GBP_USD"}},
    "as of": {
        "summary": "As of then",
        "value": {"instrument": "GBP_USD", "timestamp": "2022-03-04T21:30:00Z"},
    },
    "what if": {
        "summary": "With one feature replaced",
        "value": {"instrument": "GBP_USD", "features": {"rsi_14": 70}},
    },
    "many": {
        "summary": "Many instruments",
        "value": {"instruments": ["GBP_USD", "USD_JPY"]},
    },
    "sticky": {
        "summary": "Sticky per client",
        "value": {"instrument": "GBP_USD", "key": "desk-7", "request_id": "a-1"},
    },
}
_PROBLEMS = {
    404: "Unknown instrument or model (the known ones are listed), or no candidate",
    409: "request_id was used for another question",
    408: "The body did not arrive in time",
    413: "The body, or a batch, is too long",
    422: "A field is malformed; it is named",
    429: "As many predictions as allowed are waiting: ask again after Retry-After",
    500: "The model cannot score this",
    503: "No model deployed, or a feature is missing, null, stale or corrupt; it is named",
    504: "The deadline (limits.deadline_ms, or the header x-fx-deadline-ms) passed before the request's turn",
}
_EXPLAIN = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "add the features that contributed most, where the version can be explained; not for batches",
    "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
}
_DEADLINE = {
    "name": "x-fx-deadline-ms",
    "in": "header",
    "required": False,
    "description": "a deadline shorter than the service's own",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


def document_hot_routes(app: FastAPI) -> None:
    """Declare POST /predict* for the OpenAPI document; requests never reach these functions."""
    asked = any_of(PredictBody, BatchBody, InstrumentsBody)
    extra: dict[str, Any] = {
        "parameters": [_EXPLAIN, _DEADLINE],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked, "examples": _EXAMPLES}}},
    }
    responses: dict[int | str, dict[str, Any]] = {200: {"model": ExplainedAnswer | BatchAnswer}}
    responses |= {status: {"model": Problem, "description": text} for status, text in _PROBLEMS.items()}
    for path, name, what in (
        ("/predict", "predict", "One prediction, from the slot the routing gives it"),
        ("/predict/blue", "predict_blue", "One prediction from the stable version"),
        ("/predict/green", "predict_green", "One prediction from the candidate; 404 when there is none"),
    ):

        async def declared() -> None:
            raise AssertionError("answered by HotRoutes before FastAPI sees it")

        app.add_api_route(
            path,
            declared,
            methods=["POST"],
            name=name,
            summary=what,
            tags=["predictions"],
            openapi_extra=extra,
            responses=responses,
            operation_id=name,
        )
    openapi_v2.document(app)


def any_of(*models: type[BaseModel]) -> dict[str, Any]:
    """A JSON schema of any of these models, with nothing to be looked up elsewhere."""
    schemas = []
    for model in models:
        schema = model.model_json_schema(ref_template="{model}")
        schemas.append(openapi_v2.inlined(schema, schema.pop("$defs", {})))
    return {"anyOf": schemas}


def serve_docs(app: FastAPI) -> None:
    """/docs with Swagger UI's files from the fastapi-offline package; without that package, how to get it."""
    spec = find_spec("fastapi_offline")
    static = Path(spec.origin).parent / "static" if spec and spec.origin else None
    if static is None or not (static / "swagger-ui-bundle.js").is_file():

        @app.get("/docs", include_in_schema=False)
        async def no_docs() -> HTMLResponse:
            return HTMLResponse(
                "<!doctype html><title>fx serving</title><p>The interactive documentation needs the package "
                "<code>fastapi-offline</code> (pip install fastapi-offline). "
                '<p>The same as a document: <a href="/openapi.json">/openapi.json</a>.'
            )

        return
    app.mount("/docs/assets", StaticFiles(directory=static), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="data:,",
        )

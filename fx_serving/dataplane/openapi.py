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

from fx_serving.dataplane.request import MAX_BODY

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
        default=None, max_length=256, description="equal keys stay in one slot. Default: request_id"
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
    feature_time: str | None = Field(description="the oldest feature row used; null if all were given")
    feature_age_s: float | None = Field(description="age of that row at `timestamp`")
    prediction_id: str = Field(description="for POST /feedback")
    timestamp: str = Field(description="the decision time")


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
    "sticky": {
        "summary": "Sticky per client",
        "value": {"instrument": "GBP_USD", "key": "desk-7", "request_id": "a-1"},
    },
}
_PROBLEMS = {
    404: "Unknown instrument or model (the known ones are listed), or no candidate",
    409: "request_id was used for another question",
    413: f"Body longer than {MAX_BODY} bytes",
    422: "A field is malformed; it is named",
    503: "No model deployed, or a feature is missing, null, stale or corrupt; it is named",
}


def document_hot_routes(app: FastAPI) -> None:
    """Declare POST /predict* for the OpenAPI document; requests never reach these functions."""
    extra: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PredictBody.model_json_schema(), "examples": _EXAMPLES}},
        }
    }
    responses: dict[int | str, dict[str, Any]] = {200: {"model": PredictAnswer}}
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

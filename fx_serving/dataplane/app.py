"""The worker's HTTP interface apart from POST /predict: state, feedback, rollouts, metrics, docs."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from fx_serving.access.document import document_access
from fx_serving.client.home import Stores
from fx_serving.dataplane.console import add_console
from fx_serving.dataplane.drift import drift_status
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.exposition import exposition
from fx_serving.dataplane.feedback import RESPONSES as FEEDBACK_RESPONSES
from fx_serving.dataplane.feedback import FeedbackAnswer, FeedbackBody, FeedbackDesk
from fx_serving.dataplane.forward import ControllerLink
from fx_serving.dataplane.health import HealthDesk
from fx_serving.dataplane.openapi import document_hot_routes, serve_docs
from fx_serving.dataplane.problems import problem_of
from fx_serving.dataplane.rollout_routes import add_rollout_routes
from fx_serving.dataplane.stream import add_stream_route
from fx_serving.dataplane.v2_routes import add_v2_routes

DESCRIPTION = """Predictions of FX models, with blue/green rollouts.

`POST /predict` answers from the deployed version (blue), or, for its share of traffic during a rollout, from
the candidate (green). Every error says what was wrong, where, and what to do."""


_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "No model is deployed, the routing is not read yet, or the worker is ending",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def add_error_handlers(app: FastAPI) -> None:
    """One shape for all errors: {"detail": "field: what; remedy"}; below /v2 {"error": ...}, as its clients expect."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        name = "error" if f"{request.url.path}/".startswith("/v2/") else "detail"
        return JSONResponse({name: error.detail}, error.status_code, error.headers)

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 429 else None
        return JSONResponse({"detail": error.detail}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": problem_of(error, request.scope.get("route"))}, 422)


def build_app(
    stores: Stores,
    worker: str,
    health: HealthDesk,
    feedback: FeedbackDesk,
    controller: ControllerLink,
    lifespan: Any,
) -> FastAPI:
    """The application behind the hot routes."""
    app = FastAPI(
        title="fx serving",
        description=DESCRIPTION,
        version="1",
        strict_content_type=False,  # a body without a type is JSON, too
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    add_error_handlers(app)
    document_hot_routes(app)
    serve_docs(app)
    _add_state_routes(app, stores, worker, health)
    add_rollout_routes(app, controller)
    add_v2_routes(app, health)
    add_stream_route(app, health)
    add_console(app, stores, health, controller)

    @app.post("/feedback", tags=["predictions"], summary="What really happened", responses=FEEDBACK_RESPONSES)
    async def post_feedback(body: FeedbackBody) -> FeedbackAnswer:
        known = frozenset(
            name
            for slots in health.slots.current.models.values()
            for name in (slots.blue.instruments if slots.blue else ())
        )
        return await feedback.take(body, known)

    document_access(app)
    return app


def _add_state_routes(app: FastAPI, stores: Stores, worker: str, health: HealthDesk) -> None:
    @app.get("/service", tags=["state"], summary="What this is, and where to look further")
    async def get_service() -> dict[str, str]:
        return {
            "service": "fx serving",
            "version": "1",
            "worker": worker,
            "docs": "/docs",
            "console": "/",
            "predict": "POST /predict",
            "health": "/health",
        }

    @app.get(
        "/health",
        tags=["state"],
        summary="Each component: ok, or degraded and why. 200 while the process lives",
    )
    async def get_health() -> dict[str, Any]:
        return health.health(worker)

    @app.get(
        "/ready",
        tags=["state"],
        summary="200 if the routing is read and a model is deployed, else 503 and why. How fresh features are: /health",
        responses=_NOT_READY,
    )
    async def get_ready() -> JSONResponse:
        reason = health.ready()
        return JSONResponse({"ready": True} if reason is None else {"detail": reason}, 200 if reason is None else 503)

    @app.get("/metrics", tags=["state"], summary="Prometheus metrics of all workers", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        ingestion = stores.serving / "ingest.json"
        content = await asyncio.to_thread(exposition, stores.metrics, stores.evidence, ingestion)
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/traffic", tags=["state"], summary="Versions, shares and counts per model")
    async def get_traffic() -> dict[str, Any]:
        return await health.traffic()

    @app.get("/drift/status", tags=["state"], summary="The newest drift status per model")
    async def get_drift() -> dict[str, Any]:
        return await asyncio.to_thread(drift_status, stores.drift)

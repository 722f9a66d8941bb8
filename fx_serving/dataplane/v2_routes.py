"""The reading routes of the Open Inference Protocol. Inference itself is a hot route (asgi.py)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.health import HealthDesk
from fx_serving.dataplane.v2 import NAME, describe, find, versions_of

_TAGS: list[str | Enum] = ["open inference protocol"]
_ERRORS: dict[int | str, dict[str, Any]] = {404: {"description": "No such model or version deployed"}}


def add_v2_routes(app: FastAPI, health: HealthDesk) -> None:
    """GET /v2 and below."""

    @app.get("/v2", tags=_TAGS, summary="The server's metadata")
    async def server() -> dict[str, Any]:
        return {"name": NAME, "version": "1", "extensions": []}

    @app.get("/v2/health/live", tags=_TAGS, summary="200 while the process lives")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get(
        "/v2/health/ready",
        tags=_TAGS,
        summary="200 if predictions can be answered",
        responses={503: {"description": "Not ready, and why"}},
    )
    async def ready() -> JSONResponse:
        reason = health.ready()
        return _said({"ready": True}) if reason is None else _said({"ready": False, "error": reason}, 503)

    def model(name: str, version: str | None) -> dict[str, Any]:
        bundle, _ = find(health.slots.current, name, version)
        return describe(bundle, versions_of(health.slots.current, name))

    def model_ready(name: str, version: str | None) -> dict[str, Any]:
        find(health.slots.current, name, version)
        return {"name": name, "ready": True}

    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        one = "_version" if "version}" in prefix else ""
        _add(app, prefix, f"v2_model{one}", "A model's inputs and outputs", model)
        _add(app, f"{prefix}/ready", f"v2_model{one}_ready", "Whether it answers", model_ready)


def _add(app: FastAPI, path: str, name: str, summary: str, content: Callable[..., dict[str, Any]]) -> None:
    if "{version}" in path:

        async def of_version(name: str, version: str) -> JSONResponse:
            return _told(content, name, version)

        endpoint: Callable[..., Any] = of_version
    else:

        async def of_model(name: str) -> JSONResponse:
            return _told(content, name, None)

        endpoint = of_model
    app.add_api_route(
        path,
        endpoint,
        name=name,
        operation_id=name,
        summary=summary,
        responses=_ERRORS,
        tags=_TAGS,
    )


def _told(content: Callable[..., dict[str, Any]], name: str, version: str | None) -> JSONResponse:
    try:
        return _said(content(name, version))
    except ApiError as error:
        return _said({"error": error.detail}, error.status)


def _said(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status)

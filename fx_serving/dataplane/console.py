"""The operator console: its files, and the events it lives by.

Files are read once and served with their hash as ETag. What is shown is gathered by board.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from fx_serving.client.home import Stores
from fx_serving.dataplane.board import Board
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.forward import ControllerLink
from fx_serving.dataplane.health import HealthDesk

FOLDER = Path(__file__).resolve().parents[1] / "console"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def read_files(folder: Path = FOLDER) -> dict[str, tuple[bytes, str, str]]:
    """name -> (content, media type, ETag)."""
    found: dict[str, tuple[bytes, str, str]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _KINDS:
            content = path.read_bytes()
            found[path.name] = (content, _KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


def add_console(app: FastAPI, stores: Stores, health: HealthDesk, controller: ControllerLink) -> None:
    """Serve the console at /, its files below /console/, and its events. Its routes are the page's own affair, so they
    are not in the document of the interface.
    """
    files = read_files()
    board = Board(stores, health, controller)

    def serve(name: str, request: Request) -> Response:
        if name not in files:
            raise ApiError(404, f"console: no file {name!r}. The page is at /.")
        content, kind, tag = files[name]
        headers = {"etag": tag, "cache-control": "no-cache"}
        asked = request.headers.get("if-none-match", "")
        if tag in (one.strip().removeprefix("W/") for one in asked.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return serve("index.html", request)

    @app.get("/console/events", include_in_schema=False)
    async def events(request: Request) -> StreamingResponse:
        caller: Any = request.scope.get("fx.caller")
        who = {"name": getattr(caller, "name", "local"), "role": getattr(caller, "role", "operate")}
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(board.open(who), media_type="text/event-stream", headers=headers)

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(status_code=204)  # browsers ask for one; a 404 would stand in their logs

    @app.get("/console/{file}", include_in_schema=False)
    async def one(file: str, request: Request) -> Response:
        return serve(file, request)

"""The report service's routes."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fx_assets.configuration.models import MODEL_NAME
from fx_monitoring.reports.library import KINDS, Report, find, kept
from fx_monitoring.reports.make import NotMade, in_own_process
from fx_monitoring.reports.perimeter import REPORT_CSP, Perimeter
from fx_serving.client.clock import to_iso
from fx_serving.client.home import Stores

RETRY_S = 5
Make = Callable[[str, str | None, str | None], Awaitable[Path]]


class Wanted(BaseModel):
    """Which report is to be made. model, session: the newest with predictions where they are left out."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["drift", "quality", "data_quality"] = "drift"
    model: Annotated[str, Field(pattern=MODEL_NAME)] | None = None
    session: date | None = None


def build_app(stores: Stores, token: str | None = None, make: Make = in_own_process) -> Any:
    """The ASGI application. make: (kind, model, session) -> the path of a new report; raises NotMade."""
    app = FastAPI(title="FX reports", docs_url=None, redoc_url=None)
    busy = asyncio.Lock()

    @app.get("/ping")
    async def ping() -> dict[str, Any]:
        """Whether the service answers, and whether a report is being made."""
        return {"status": "ok", "busy": busy.locked()}

    @app.post("/generate", status_code=201, response_model=None)
    async def generate(wanted: Wanted | None = None) -> dict[str, Any] | JSONResponse:
        """Make the newest report of a kind. One at a time: another request meanwhile is told to come again."""
        asked = wanted or Wanted()
        if busy.locked():
            detail = f"a report is being made; ask again in {RETRY_S} s"
            return JSONResponse({"detail": detail}, 429, {"Retry-After": str(RETRY_S)})
        async with busy:
            try:
                made = await make(asked.kind, asked.model, asked.session.isoformat() if asked.session else None)
            except NotMade as error:
                raise HTTPException(error.status, str(error)) from None
        found = find(stores, asked.kind, made.name)
        if found is None:
            raise HTTPException(500, f"{made.name} was made, and is not among the kept reports of kind {asked.kind}")
        return _told(found)

    @app.get("/", response_model=None)
    async def newest() -> Response:
        """The newest report as a page."""
        found = kept(stores)
        if not found:
            return HTMLResponse(_page("No report has been made yet", "<p>Ask for one: POST /generate.</p>"))
        return _content(found[0])

    @app.get("/reports", response_model=None)
    async def listed(request: Request) -> Response:
        """The kept reports, the newest first: as a page for browsers, else as JSON."""
        found = kept(stores)
        if "text/html" in request.headers.get("accept", ""):
            rows = "".join(
                f'<tr><td><a href="{html.escape(r.url)}">{html.escape(r.name)}</a></td><td>{html.escape(r.kind)}</td>'
                f"<td>{to_iso(r.made_at.replace(microsecond=0))}</td><td>{r.size // 1000} kB</td></tr>"
                for r in found
            )
            return HTMLResponse(_page(f"{len(found)} reports", f"<table>{rows}</table>"))
        return JSONResponse({"reports": [_told(report) for report in found]})

    @app.get("/reports/{kind}/{name}", response_model=None)
    async def one(kind: str, name: str) -> Response:
        """One kept report as a page."""
        found = find(stores, kind, name)
        if found is None:
            raise HTTPException(404, f"no such report. Kinds: {', '.join(KINDS)}; GET /reports lists the names.")
        return _content(found)

    return Perimeter(app, token)


def _content(report: Report) -> Response:
    headers = {"content-security-policy": REPORT_CSP.decode(), "content-location": report.url}
    return FileResponse(report.path, media_type="text/html; charset=utf-8", headers=headers)


def _told(report: Report) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "name": report.name,
        "made_at": to_iso(report.made_at),
        "bytes": report.size,
        "url": report.url,
    }


def _page(title: str, body: str) -> str:
    style = "body{font:15px sans-serif;margin:2em}td{padding:.2em 1em .2em 0}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style></head><body><h1>{html.escape(title)}</h1>{body}</body></html>"
    )

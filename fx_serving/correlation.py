"""Which Dagster run and which trace a request belongs to: taken from its headers, and put into lines and spans."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from fx_serving.client import tracing
from fx_serving.client.logs import RUN_HEADER, log_context, valid_run_id

_TRACE = b"traceparent"


def header(scope: Any, name: bytes) -> bytes | None:
    """A header of an ASGI request."""
    return next((value for key, value in scope["headers"] if key == name), None)


def run_id_of(scope: Any) -> str | None:
    """The run that asks. What is no run id is passed over: correlation refuses nobody."""
    return valid_run_id(header(scope, RUN_HEADER.encode()))


def headers_of(scope: Any) -> dict[str, str]:
    """What a request that is made for this one says of itself, within the span that is open now."""
    run_id = run_id_of(scope)
    return ({RUN_HEADER: run_id} if run_id else {}) | tracing.headers()


def span_of(scope: Any, name: str, **attributes: str) -> AbstractContextManager[Any]:
    """A span of this request, part of the trace that its client names; nothing where tracing is off."""
    if not tracing.on():
        return tracing.NOTHING
    given = header(scope, _TRACE)
    run_id = run_id_of(scope)
    more = {"fx.run_id": run_id} if run_id else {}
    return tracing.span(name, given.decode("latin-1") if given else None, **more, **attributes)


class Correlated:
    """An ASGI application whose lines carry the run that asks, within a span."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = f"controller {scope['method']} {scope['path']}"
        with log_context(run_id=run_id_of(scope)), span_of(scope, name):
            await self.app(scope, receive, send)

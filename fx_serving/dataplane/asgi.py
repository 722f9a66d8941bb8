"""The hot route in plain ASGI, in front of the FastAPI application that serves (and documents) everything
else.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.metrics import Metrics
from fx_serving.dataplane.request import MAX_BODY

log = logging.getLogger("fx_serving.asgi")

Predict = Callable[[bytes, str | None], Awaitable[bytes]]
ROUTES: dict[str, str | None] = {"/predict": None, "/predict/blue": "blue", "/predict/green": "green"}
# What an orchestrator or a scraper asks must work without a secret.
_OPEN = frozenset({"/health", "/ready", "/metrics"})
_JSON = (b"content-type", b"application/json")


class HotRoutes:
    """Answers POST /predict* itself and hands everything else on. Checks the access token if one is set.

    FastAPI's routing, dependency solving and response classes cost more than the prediction; its
    documentation of these routes comes from declarations that are never called (see app.py).
    """

    def __init__(self, app: Any, predict: Predict, metrics: Metrics, token: str | None) -> None:
        self.app, self.predict, self.metrics = app, predict, metrics
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        if self._expected is not None and path not in _OPEN and not self._allowed(scope):
            error = ApiError(401, "Authorization: send 'Bearer <token>' with the token of FX_SERVING_TOKEN.", "token")
            return await _send(send, 401, error.body())
        if path not in ROUTES or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        try:
            answer = await self.predict(await _body(receive), ROUTES[path])
        except ApiError as error:
            self.metrics.refused(error.status, error.reason)
            await _send(send, error.status, error.body())
        except Exception:
            log.exception("prediction failed unexpectedly")
            self.metrics.refused(500, "unexpected")
            error = ApiError(500, "the service failed on this request; its log says how (fx_serving.asgi).")
            await _send(send, 500, error.body())
        else:
            await _send(send, 200, answer)

    def _allowed(self, scope: Any) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._expected or b"")


async def _body(receive: Any) -> bytes:
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "body: the connection ended before the body was complete")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise ApiError(413, f"body: longer than {MAX_BODY} bytes")
    return body


async def _send(send: Any, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

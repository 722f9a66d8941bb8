"""The outermost layer: from which pages and under which names the service may be asked, and how large a question is.

A page in somebody's browser can send requests to 127.0.0.1, and by a name that resolves there even as its own origin.
So an Origin must be the service's own, and where no token is needed the Host a name of this machine. Reports hold
scripts that draw their charts: they are sandboxed, with an origin of their own and no way out.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from fx_monitoring.exporter.server import is_loopback

BODY_BYTES = 4096
_CSP = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
REPORT_CSP = (
    b"sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    b"img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Refusal(NamedTuple):
    """An answer instead of the application's."""

    status: int
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Perimeter:
    """ASGI: lets a request through to `app`, or answers it with 4xx. token: asked of everyone, where it is set."""

    def __init__(self, app: Any, token: str | None = None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        send = _with_headers(send)
        refused = self._refusal(scope["headers"])
        if refused is not None:
            return await _answer(send, refused)
        body = await _read(receive)
        if body is None:
            return await _answer(send, Refusal(413, f"body: at most {BODY_BYTES} bytes"))
        await self._app(scope, _replay(body, receive), send)

    def _refusal(self, headers: Sequence[tuple[bytes, bytes]]) -> Refusal | None:
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        # Of both schemes: a proxy in front may speak TLS.
        own = [scheme + host.lower() for scheme in (b"http://", b"https://") for host in hosts]
        if len(hosts) > 1 or (hosts and self._token is None and not is_loopback(_hostname(hosts[0]))):
            return Refusal(403, "Host: is not a name of this machine. Ask http://127.0.0.1.")
        if any(origin.lower() not in own for origin in origins):
            return Refusal(403, "Origin: a page of another origin may not ask.")
        given = [value for name, value in headers if name == b"authorization"]
        if self._token is not None and not any(
            hmac.compare_digest(value, f"Bearer {self._token}".encode()) for value in given
        ):
            words = "Authorization: missing, or not the token in force. Send 'Bearer <FX_REPORTS_TOKEN>'."
            return Refusal(401, words, ((b"www-authenticate", b"Bearer"),))
        return None


def _hostname(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0].rstrip(".")


def _with_headers(send: Any) -> Any:
    """A `send` that completes the headers; one that the application set itself stays as it is."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
            present = {name.lower() for name, _ in headers}
            headers += [one for one in (*_HEADERS, (b"content-security-policy", _CSP)) if one[0] not in present]
            message = {**message, "headers": headers}
        await send(message)

    return sending


async def _read(receive: Any) -> bytes | None:
    """The whole body; None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body that was read, and then what comes."""
    given = False

    async def receiving() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


async def _answer(send: Any, refusal: Refusal) -> None:
    body = json.dumps({"detail": refusal.detail}).encode()
    kind = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    headers = [*kind, *refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

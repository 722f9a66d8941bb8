"""The outermost layer of a worker: whose request, from which page, of what size; and the headers of every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from fx_serving.access.bodies import BodyRefused, read_body, replay, too_long
from fx_serving.access.guard import ANONYMOUS, Caller, Guard
from fx_serving.access.origins import Origins
from fx_serving.access.roles import OPEN, methods, needed

Header = tuple[bytes, bytes]

_CSP = b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
# Swagger UI starts by an inline script and styles its elements itself; its files are served by this service.
_DOCS_CSP = _CSP + b"; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _CSP),
)
_HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
_NO_TOKEN = (
    "Authorization: missing, or not a token in force. Send 'Bearer <token>'; an operator makes one by: fx token create."
)


class Perimeter:
    """ASGI: lets a request through to `app`, with `scope["fx.caller"]`, or answers it with 4xx.

    refused(status, reason) is told of each refusal.
    """

    def __init__(self, app: Any, guard: Guard, refused: Callable[[int, str], None] | None = None) -> None:
        self.app, self.guard = app, guard
        config = guard.config
        self._refused = refused or (lambda status, reason: None)
        self._origins = Origins(config)
        self._certificates = bool(config.access.tls_client_ca)
        self._limit, self._timeout_s = config.limits.body_bytes, config.limits.body_timeout_s
        self._headers = (*_HEADERS, _HSTS) if config.access.tls_cert else _HEADERS
        self._docs_headers = tuple(
            (name, _DOCS_CSP if name == b"content-security-policy" else value) for name, value in self._headers
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        authorization = origin = host = length = None
        hosts = chunked = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, hosts = value, hosts + 1
            elif name == b"authorization":
                authorization = value
            elif name == b"origin":
                origin = value
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                chunked = 1
        method, path = scope["method"], scope["path"]
        rule = needed(method, path)
        shared = () if origin is None else self._origins.shared(origin)
        send = self._with_headers(send, path, rule.hot, shared)
        if origin is not None and not self._origins.may(origin, host):
            return await self._refuse(send, path, 403, "origin", self._origins.foreign(origin))
        if shared and method == "OPTIONS":
            return await _answer(send, 204, b"", self._origins.preflight)
        if hosts > 1 or not self._origins.known(host, self.guard.open):
            return await self._refuse(send, path, 403, "host", self._origins.unknown(host))
        caller = self.guard.identify(authorization)
        if self._certificates and not scope.get("fx.certified") and (caller is None or caller.name != "controller"):
            return await self._refuse(send, path, 403, "certificate", "certificate: none was presented.")
        if OPEN not in rule.roles:
            if caller is None:
                return await self._refuse(send, path, 401, "token", _NO_TOKEN, [(b"www-authenticate", b"Bearer")])
            if caller.role not in rule.roles:
                detail = (
                    f"token {caller.name!r} has the role {caller.role}, and {method} {path[:200]} needs "
                    f"{' or '.join(sorted(rule.roles))}. Ask an operator: fx token create NAME --role ROLE."
                )
                return await self._refuse(send, path, 403, "role", detail)
            wait = self.guard.rates.wait_s(caller.name, caller.rate_per_s)
            if wait:
                after = [(b"retry-after", str(wait).encode())]
                detail = f"rate: {caller.name!r} asks more often than allowed; ask again in {wait} s."
                return await self._refuse(send, path, 429, "rate", detail, after)
        scope["fx.caller"] = caller or ANONYMOUS
        if not rule.hot and (length is not None or chunked):
            try:
                if length is not None and int(length) > self._limit:
                    raise too_long(self._limit)
                body = await read_body(receive, self._limit, self._timeout_s)
            except BodyRefused as error:
                close = [(b"connection", b"close")] if error.status == 408 else []
                return await self._refuse(send, path, error.status, "body", error.detail, close)
            if body is None:
                return None
            receive = replay(body, receive)
        if rule.stream:
            send = self._while_known(send, authorization, caller)
        await self.app(scope, receive, send)

    def _while_known(self, send: Any, authorization: bytes | None, caller: Caller | None) -> Any:
        """A `send` that ends a stream at its next piece once the token behind it is not in force any more."""

        def sending(message: Any) -> Any:
            if message.get("more_body") and self.guard.identify(authorization) != caller:
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            return send(message)

        return sending

    def _with_headers(self, send: Any, path: str, hot: bool, shared: tuple[Header, ...]) -> Any:
        """A `send` that completes the headers; one that the application set itself stays as it is."""
        added: tuple[Header, ...] = self._docs_headers if path == "/docs" else self._headers

        def sending(message: Any) -> Any:
            if message["type"] == "http.response.start":
                headers: list[Header] = list(message.get("headers") or ())
                if hot:
                    headers += added
                else:
                    present = {name.lower() for name, _ in headers}
                    headers += [header for header in added if header[0] not in present]
                if message["status"] == 405:  # the framework names the methods of one route of the path only
                    allowed = ", ".join(methods(path)).encode()
                    headers = [(b"allow", allowed), *(one for one in headers if one[0] != b"allow")]
                headers += shared
                message["headers"] = headers
            return send(message)

        return sending

    async def _refuse(
        self, send: Any, path: str, status: int, reason: str, detail: str, more: Iterable[Header] = ()
    ) -> None:
        self._refused(status, reason)
        # Clients of the inference protocol look for the problem under its own name.
        body = msgspec.json.encode({"error" if path.startswith("/v2") else "detail": detail})
        kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await _answer(send, status, body, [*kind, *more])


async def _answer(send: Any, status: int, body: bytes, headers: Iterable[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})

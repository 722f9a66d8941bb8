"""A real HTTP server with the service's perimeter and protocol in front of a small application, for tests of access."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from fx_serving.access.guard import Guard
from fx_serving.access.perimeter import Perimeter
from fx_serving.access.protocol import bounded
from fx_serving.access.tls import uvicorn_options
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.ports import listen


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers 200 with the caller, path, method and the length of the body."""
    size, more = 0, scope["method"] in ("POST", "PUT")
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/stream/predictions":
        return await _stream(receive, send)
    caller = scope["fx.caller"]
    body = json.dumps({"name": caller.name, "role": caller.role, "path": scope["path"], "size": size}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if scope["path"] == "/console/x.css":
        headers.append((b"cache-control", b"max-age=60"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(receive: Any, send: Any) -> None:
    """A piece each 20 ms, until the other side is gone."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await receive()  # the request's body, which is empty
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await send({"type": "http.response.body", "body": b": piece\n\n", "more_body": True})
        await asyncio.wait([gone], timeout=0.02)


class Server:
    """A running server: its port, its guard, the refusals it counted."""

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.refused: list[tuple[int, str]] = []
        self.guard = Guard(stores, config)
        perimeter = Perimeter(echo, self.guard, lambda status, reason: self.refused.append((status, reason)))
        self._socket = listen("127.0.0.1", 0, has_token=False)
        self.port: int = self._socket.getsockname()[1]
        scheme = "https" if config.access.tls_cert else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        options = uvicorn_options(config.access)
        self._server = uvicorn.Server(
            uvicorn.Config(perimeter, http=bounded(config), ws="none", lifespan="off", log_config=None, **options)
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(60)

    def connect(self, context: ssl.SSLContext | None = None) -> socket.socket:
        """A raw connection."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain


@contextlib.contextmanager
def perimeter_server(stores: Stores, **settings: Any) -> Iterator[Server]:
    """A server with these settings of serving.yaml, stopped at the end."""
    server = Server(stores, ServingConfig.model_validate(settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def exchange(port: int, request: bytes, timeout_s: float = 10) -> bytes:
    """Send bytes, and read until the other side closes, or says nothing for `timeout_s`."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Whatever comes until the end or the timeout."""
    parts = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    """The status code of a raw answer."""
    return int(answer.split(b" ", 2)[1])

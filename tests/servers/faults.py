"""Any ASGI application behind a switch for the ways in which servers fail, and a way to serve it on a free port.

    server = FaultApp(app)
    with serve(server) as served:
        server.fault("rate_limited", times=2)
        httpx.get(served.url)

Real sockets and real HTTP; what each protocol answers belongs into the file of its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import uvicorn

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Fault = Literal[
    "slow",  # `seconds` pass before an answer, which then is the right one
    "drip",  # a body that comes byte by byte, one every tenth of a second, so that no single read times out
    "garbage",  # 200, and bytes that are no JSON
    "nonsense",  # 200, and JSON of a shape nobody asked for
    "truncated",  # the connection closes in the middle of the right body
    "rate_limited",  # 429 with Retry-After
    "unauthorized",  # 401
    "server_error",  # 500
    "hang_up",  # the connection closes without an answer
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

GARBAGE = b"\x00\xff\xfe<html>not what you wanted" * 8
NONSENSE = b'{"weather": [{"celsius": 21.5}], "ok": "perhaps"}'


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    at: float  # time.monotonic()


@dataclass
class FaultApp:
    """Passes requests on to `app`, unless a fault is switched on."""

    app: App
    seen: list[Request] = field(default_factory=list)
    _kind: Fault | None = None
    _left: int | None = None
    _where: str = ""
    _seconds: float = 10.0
    _retry_after: str = "1"

    @property
    def requests(self) -> int:
        """How many requests have come in, faulty answers included."""
        return len(self.seen)

    def fault(
        self,
        kind: Fault | None,
        times: int | None = None,
        *,
        where: str = "",
        seconds: float = 10.0,
        retry_after: str = "1",
    ) -> None:
        """Fail in this way from now on: always, or `times` times; None ends it. where: only paths that contain it."""
        if kind is not None and kind not in FAULTS:
            raise ValueError(f"{kind!r} is not one of {', '.join(FAULTS)}")
        self._kind, self._left, self._where = kind, times, where
        self._seconds, self._retry_after = seconds, retry_after

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode().lower(): v.decode("latin-1") for k, v in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        self.seen.append(Request(scope["method"], scope["path"], query, headers, time.monotonic()))
        kind = self._next(scope["path"])
        if kind is None:
            await self.app(scope, receive, send)
        elif kind == "slow":
            await asyncio.sleep(self._seconds)
            await self.app(scope, receive, send)
        elif kind in ("truncated", "drip"):
            await self._spoil(kind, scope, receive, send)
        elif kind == "hang_up":
            await _hang_up(send)
        else:
            await self._answer(kind, send)

    def _next(self, path: str) -> Fault | None:
        if self._kind is None or self._where not in path or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self._kind

    async def _answer(self, kind: Fault, send: Send) -> None:
        status, body = {
            "garbage": (200, GARBAGE),
            "nonsense": (200, NONSENSE),
            "rate_limited": (429, b'{"errorMessage": "too many requests"}'),
            "unauthorized": (401, b'{"errorMessage": "insufficient authorization"}'),
            "server_error": (500, b'{"errorMessage": "internal error"}'),
        }[kind]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if kind == "rate_limited":
            headers.append((b"retry-after", self._retry_after.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _spoil(self, kind: Fault, scope: Message, receive: Receive, send: Send) -> None:
        """The right answer, cut short or let out drop by drop."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, collect)
        start = next(m for m in messages if m["type"] == "http.response.start")
        body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        kept = [(k, v) for k, v in start["headers"] if k.lower() not in (b"content-length", b"transfer-encoding")]
        # A body of nothing cannot be cut: one byte is promised, so that the connection still breaks.
        length = str(max(len(body), 1)).encode()
        await send({**start, "headers": [*kept, (b"content-length", length)]})
        if kind == "truncated":
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.02)
            await _hang_up(send)
            return
        for position in range(len(body)):
            await send({"type": "http.response.body", "body": body[position : position + 1], "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b""})


async def _hang_up(send: Send) -> None:
    """Close the connection. ASGI has no word for it: the transport is taken from uvicorn's request cycle."""
    cycle: Any = getattr(send, "__self__", None)
    cycle.transport.close() if cycle.response_started else cycle.transport.abort()
    await asyncio.sleep(0.05)  # the cycle learns that it is disconnected, and does not send a 500 of its own


@dataclass(frozen=True)
class Served:
    """Where an application answers."""

    url: str
    port: int


@contextlib.contextmanager
def serve(app: Any) -> Iterator[Served]:
    """An ASGI application on a free loopback port, in a thread of this process, until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    # Quiet: a truncated answer is an error to uvicorn, and here it is meant.
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, log_level="critical", lifespan="off", access_log=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    try:
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the test server did not start")
            time.sleep(0.005)
        yield Served(f"http://127.0.0.1:{port}", port)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=20)
        listener.close()


def dead_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dead_url() -> str:
    """A URL that refuses connections."""
    return f"http://127.0.0.1:{dead_port()}"

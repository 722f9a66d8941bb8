"""A client that costs little, so that one machine can drive and measure: keep-alive connections on one event loop,
requests encoded beforehand.

It behaves as the platform's own client does: a request whose connection was refused, reset or closed before the answer
is sent once more, and each such reset is noted.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

PATIENCE_S = 30.0


@dataclass
class Result:
    """What the clients saw. failed: not answered 2xx after the one retry; resets: when each happened (monotonic)."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    resets: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)  # of the answers with 2xx alone
    versions: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def quantile_ms(self, q: float) -> float:
        """A quantile of the latencies in milliseconds; NaN without answers."""
        ordered = sorted(self.latencies)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)] * 1e3 if ordered else float("nan")


def encode(path: str, body: Any, host: str = "127.0.0.1", **headers: str) -> bytes:
    """A POST request as bytes."""
    content = msgspec.json.encode(body)
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        headers = self.buffer[:head].lower()
        _, named, rest = headers.partition(b"content-length:")
        length = int(rest.partition(b"\r")[0]) if named else 0
        if len(self.buffer) < head + 4 + length:
            return
        status, body = int(self.buffer[9:12]), self.buffer[head + 4 : head + 4 + length]
        self.buffer = b""
        if b"connection: close" in headers and self.transport:
            self.transport.close()
            self.transport = None
        if self.waiting and not self.waiting.done():
            self.waiting.set_result((status, body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        assert self.transport
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await asyncio.wait_for(self.waiting, PATIENCE_S)


class Clients:
    """Several connections to one address that share a result. next_request gives the bytes of the n-th request."""

    def __init__(self, url: str, next_request: Callable[[int], bytes], connections: int):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.next_request, self.connections = next_request, connections
        self.result = Result()

    async def closed(self, requests: int) -> Result:
        """Each connection asks again as soon as it is answered, until `requests` were sent altogether."""
        numbers = iter(range(requests))
        started = time.perf_counter()
        await asyncio.gather(*(self._closed(numbers) for _ in range(self.connections)))
        self.result.seconds = time.perf_counter() - started
        return self.result

    async def paced(self, per_second: float, stop: Callable[[int], bool]) -> Result:
        """Requests at fixed times until stop(number). Where a slow answer makes the next request late, its latency
        counts from when it was due; the lateness of the client's own timer does not count.
        """
        started = time.perf_counter()
        await asyncio.gather(*(self._paced(first, per_second, started, stop) for first in range(self.connections)))
        self.result.seconds = time.perf_counter() - started
        return self.result

    async def _closed(self, numbers: Any) -> None:
        connection: _Connection | None = None
        for number in numbers:
            connection = await self._one(connection, number, time.perf_counter())

    async def _paced(self, first: int, per_second: float, started: float, stop: Callable[[int], bool]) -> None:
        connection: _Connection | None = None
        number = first
        while not stop(number):
            due = started + number / per_second
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
                due = time.perf_counter()
            connection = await self._one(connection, number, due)
            number += self.connections

    async def _one(self, connection: _Connection | None, number: int, due: float) -> _Connection | None:
        request, result = self.next_request(number), self.result
        result.requests += 1
        for attempt in (1, 2):
            try:
                if connection is None or connection.transport is None:
                    loop = asyncio.get_running_loop()
                    _, connection = await loop.create_connection(_Connection, self.host, self.port)
                status, body = await connection.ask(request)
            except (OSError, TimeoutError) as error:
                if connection is not None and connection.transport is not None:
                    connection.transport.abort()
                connection = None
                if isinstance(error, TimeoutError):
                    result.failed["no answer"] += 1
                    return None
                result.resets.append(time.monotonic())
                if attempt == 2:
                    result.failed["reset twice"] += 1
                continue
            result.latencies.append(time.perf_counter() - due)
            result.statuses[status] += 1
            if 200 <= status < 300:
                result.accepted.append(result.latencies[-1])
            else:
                result.failed[f"HTTP {status} {body[:80].decode(errors='replace')}"] += 1
            at = body.find(b'"model_version":"')
            if at > 0:
                result.versions[body[at + 17 : body.find(b'"', at + 17)].decode()] += 1
            return connection
        return connection


def run_closed(url: str, requests: Sequence[bytes], connections: int, total: int) -> Result:
    """`Clients.closed` on an event loop of its own."""
    return uvloop.run(Clients(url, lambda n: requests[n % len(requests)], connections).closed(total))


def run_paced(url: str, requests: Sequence[bytes], connections: int, per_second: float, seconds: float) -> Result:
    """`Clients.paced` for some seconds on an event loop of its own."""
    total = int(per_second * seconds)
    clients = Clients(url, lambda n: requests[n % len(requests)], connections)
    return uvloop.run(clients.paced(per_second, lambda number: number >= total))

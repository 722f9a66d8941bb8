"""Connections for HttpSession: a pool that waits for its turn before it connects, and that keeps a hard deadline.

httpx bounds each single read; a server that sends a byte now and then would never time out. Here every wait on a
socket ends at the deadline of the request that its thread is making.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from fx_assets.sources.limits import Limits

_MAX_CONNECTIONS = 10
_KEEPALIVE_S = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Deadline(threading.local):
    """When the request that this thread makes must have been answered; monotonic seconds."""

    at = math.inf

    def left(self, timeout: float | None) -> float | None:
        """How long the next wait may last. Raises TimeoutException when there is no time left."""
        if self.at == math.inf:
            return timeout
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took too long")
        return left if timeout is None else min(left, timeout)


class LimitedTransport(httpx.BaseTransport):
    """One host's connections, HTTP/1.1, kept alive between requests. `deadline` is set by who makes the request."""

    def __init__(self, url: str, limits: Limits):
        """url: of the host; its proxy, if the environment names one, is used (HTTPS_PROXY, NO_PROXY)."""
        self.deadline = Deadline()
        backend = _Backend(limits, self.deadline)
        settings: dict[str, Any] = {
            "ssl_context": _tls() if url.startswith("https:") else None,
            "max_connections": _MAX_CONNECTIONS,
            "keepalive_expiry": _KEEPALIVE_S,
            "network_backend": backend,
        }
        if proxy := _proxy(httpx.URL(url)):
            bare = str(proxy.copy_with(username=None, password=None))
            auth = (proxy.username, proxy.password) if proxy.username else None
            self._pool: httpcore.ConnectionPool = httpcore.HTTPProxy(bare, proxy_auth=auth, **settings)
        else:
            self._pool = httpcore.ConnectionPool(**settings)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.BaseTransport."""
        url = request.url
        with _httpx_errors():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Any):
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._parts

    def close(self) -> None:
        self._parts.close()


class _Backend(httpcore.SyncBackend):
    """Opens connections in turn; the time spent waiting for the turn is not the server's."""

    def __init__(self, limits: Limits, deadline: Deadline):
        self._limits, self._deadline = limits, deadline

    def connect_tcp(self, *arguments: Any, timeout: float | None = None, **named: Any) -> httpcore.NetworkStream:
        self._deadline.at += self._limits.connections.acquire()
        stream = super().connect_tcp(*arguments, timeout=self._deadline.left(timeout), **named)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline):
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(stream, self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _proxy(url: httpx.URL) -> httpx.URL | None:
    """The proxy that the environment names for a URL, never for this machine itself."""
    if url.host in _LOOPBACK or proxy_bypass(url.host):
        return None
    found = getproxies()
    named = found.get(url.scheme) or found.get("all")
    return httpx.URL(named) if named and named.startswith("http") else None


_TRANSLATED: Iterable[tuple[type[Exception], type[httpx.TransportError]]] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.NetworkError, httpx.ReadError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
)


@contextlib.contextmanager
def _httpx_errors() -> Iterator[None]:
    """The pool's errors as those that a user of httpx expects."""
    try:
        yield
    except Exception as error:
        for theirs, ours in _TRANSLATED:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise

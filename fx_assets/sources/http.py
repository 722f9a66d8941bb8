"""The HTTP client of every source that speaks HTTP itself: connections kept alive, one deadline for a whole answer,
retries with backoff, the host's limits, and errors that hold no secret.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx
import msgspec

from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.http_transport import LimitedTransport
from fx_assets.sources.limits import Limits, host_limits

REFUSED = frozenset({400, 401, 403, 404})
BACKOFF_S, MAX_BACKOFF_S = 0.5, 8.0
MAX_RETRY_AFTER_S = 30.0  # a server that wants to be left alone for longer is one to go elsewhere from
MAX_BYTES = 128 * 2**20
_WORDS = 300  # of a server's own message
_REMEDIES = {
    400: "Check symbol, granularity and options in instruments.yaml",
    401: "Check the key or token, and that it belongs to this environment",
    403: "Check what the key or account is allowed to see",
    404: "Check url and symbol in instruments.yaml",
}


class Network(Protocol):
    """What a session needs of a source's options."""

    @property
    def timeout_s(self) -> float: ...
    @property
    def retries(self) -> int: ...


class HttpSession:
    """Connections of one source to one host. Safe for several threads; close it or use it as a context manager.

    GET only. Each attempt has options.timeout_s from its first to its last byte. Timeouts, dropped connections, 429
    and 5xx are tried again options.retries times, after a random wait that doubles its bound each time, or after
    what Retry-After asks for. Every method raises SourceRefused for 400, 401, 403 and 404, SourceError for all else.
    """

    def __init__(
        self,
        name: str,
        options: Network,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        limiter: Limits | None = None,
        secrets: Iterable[str] = (),
        follow_redirects: bool = False,
    ):
        """name: the source's, for errors. base_url: what paths are added to. limiter: the host's limits, see
        host_limits; without one there are none. secrets: strings that no error or log line may hold, such as a key
        in a query; the values of Authorization and of headers with key or token in their name are among them already.
        follow_redirects: only for a session without secrets, which could end up with a stranger.
        """
        self.name, self.options = name, options
        self.base_url = base_url.rstrip("/")
        self._limits = limiter or Limits()
        sent = {k: v for k, v in (headers or {}).items() if re.search("auth|key|token|cookie", k, re.IGNORECASE)}
        words = [*secrets, *sent.values(), *(part for v in sent.values() for part in v.split() if len(part) > 8)]
        self._secrets = sorted({word for word in words if word}, key=len, reverse=True)
        if follow_redirects and self._secrets:
            raise ValueError("a session with secrets must not follow redirects")
        self._follow = follow_redirects
        self._headers = {"User-Agent": "fx-platform", "Accept-Encoding": "gzip", **(headers or {})}
        self._clients: dict[str, tuple[httpx.Client, LimitedTransport]] = {}
        self._lock = threading.Lock()
        _hide_queries()

    def __enter__(self) -> HttpSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the session can be used again."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client, _ in clients.values():
            client.close()

    def get_json(self, path_or_url: str, params: Mapping[str, Any] | None = None, type: Any = Any) -> Any:
        """The decoded answer; `type` is any that msgspec knows. An answer that is not of it raises SourceError."""
        content = self.get_bytes(path_or_url, params)
        try:
            return msgspec.json.decode(content, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.error(path_or_url, f"the answer is not what was asked for ({error})") from None

    def get_bytes(
        self, path_or_url: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a successful answer."""
        attempt = 0
        while True:
            try:
                return self._once(path_or_url, params, headers)
            except _Again as failure:
                wait = failure.wait_s
                if wait is None:
                    wait = random.uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**attempt))
                if attempt >= self.options.retries or wait > MAX_RETRY_AFTER_S:
                    tries = "once" if attempt == 0 else f"{attempt + 1} times"
                    raise self.error(
                        path_or_url, f"{failure}, asked {tries}. Try later, or check the network."
                    ) from None
            attempt += 1
            time.sleep(wait)

    @contextlib.contextmanager
    def stream(
        self, path_or_url: str, params: Mapping[str, Any] | None = None, silence_s: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """The parts of an answer that does not end, as they come. No retries.

        Raises SourceError when nothing has come for silence_s seconds, or the connection drops.
        """
        client, transport = self._client(path_or_url)
        self._limits.requests.acquire()
        transport.deadline.at = float("inf")
        timeout = httpx.Timeout(self.options.timeout_s, read=silence_s)
        try:
            url, query = self._url(path_or_url), _given(params)
            with client.stream("GET", url, params=query, timeout=timeout) as answer:
                if answer.status_code != 200:
                    transport.deadline.at = time.monotonic() + self.options.timeout_s
                    self._check(path_or_url, answer, b"".join(answer.iter_bytes()))
                yield answer.iter_bytes()
        except _Again as failure:
            raise self.error(path_or_url, str(failure)) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self.error(path_or_url, _reason(error)) from None

    def error(self, path_or_url: str, what: str, refused: bool = False) -> SourceError:
        """A SourceError naming source, host and path, with every secret taken out."""
        url = httpx.URL(self._url(path_or_url))
        where = f"{url.scheme}://{url.netloc.decode().rpartition('@')[2]}{url.path}"
        text = self.redact(f"{self.name}: {where}: {what}")
        return SourceRefused(text) if refused else SourceError(text)

    def redact(self, text: str) -> str:
        """The text without any secret of this session."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _once(self, path: str, params: Mapping[str, Any] | None, headers: Mapping[str, str] | None) -> bytes:
        client, transport = self._client(path)
        self._limits.requests.acquire()
        transport.deadline.at = time.monotonic() + self.options.timeout_s
        timeout = httpx.Timeout(self.options.timeout_s, pool=None)
        try:
            url, query = self._url(path), _given(params)
            with client.stream("GET", url, params=query, headers=headers, timeout=timeout) as answer:
                parts, size = [], 0
                for part in answer.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > MAX_BYTES:
                        raise self.error(path, f"the answer is longer than {MAX_BYTES >> 20} MiB")
                content = b"".join(parts)
            self._check(path, answer, content)
            return content
        except httpx.TransportError as error:
            raise _Again(self.redact(_reason(error))) from None
        except httpx.DecodingError as error:
            raise self.error(path, f"the answer cannot be unpacked ({error})") from None
        finally:
            transport.deadline.at = float("inf")

    def _check(self, path: str, answer: httpx.Response, content: bytes) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        words = self.redact(_message(content))  # before it is cut: half a secret is one too
        said = f"HTTP {status} ({words[:_WORDS]})" if words else f"HTTP {status}"
        if status in REFUSED:
            raise self.error(path, f"{said}. {_REMEDIES[status]}.", refused=True)
        if status == 429 or status >= 500:
            raise _Again(said, _retry_after(answer.headers.get("retry-after")))
        raise self.error(path, f"{said}, which is no answer. Check url in instruments.yaml.")

    def _client(self, path_or_url: str) -> tuple[httpx.Client, LimitedTransport]:
        """The client of a URL's host: most sessions have one only."""
        url = httpx.URL(self._url(path_or_url))
        host = f"{url.scheme}://{url.netloc.decode()}"
        with self._lock:
            if host not in self._clients:
                transport = LimitedTransport(host, self._limits)
                client = httpx.Client(transport=transport, headers=self._headers, follow_redirects=self._follow)
                self._clients[host] = (client, transport)
            return self._clients[host]

    def _url(self, path_or_url: str) -> str:
        return path_or_url if "://" in path_or_url else self.base_url + path_or_url


class _Again(Exception):
    """A failure that may pass; wait_s: what the server asked for, if it did."""

    def __init__(self, what: str, wait_s: float | None = None):
        super().__init__(what)
        self.wait_s = wait_s


def session_limits(url: str, requests_per_s: float | None = None, connections_per_s: float | None = None) -> Limits:
    """The limits of a URL's host, shared by every session of this process."""
    return host_limits(httpx.URL(url).netloc.decode().rpartition("@")[2], requests_per_s, connections_per_s)


def _given(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {k: v for k, v in params.items() if v is not None} if params else None


def _reason(error: Exception) -> str:
    """What happened to a connection, in words."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError | httpx.ProxyError):
        return f"cannot connect ({error})"
    if isinstance(error, httpx.TimeoutException):
        return "no complete answer in time"
    return f"the connection broke ({error or type(error).__name__})"


def _message(content: bytes) -> str:
    """A server's own words about an error, where it sends any as JSON."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if isinstance(body, dict):
        body = next((body[k] for k in ("errorMessage", "error", "message", "msg", "detail") if body.get(k)), "")
    return body if isinstance(body, str) else ""


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None for none, or one that makes no sense."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        at = parsedate_to_datetime(value)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return None


class _WithoutQuery(logging.Filter):
    """httpx logs each URL it asks for; a key may be part of the query."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(a.copy_with(query=None) if isinstance(a, httpx.URL) else a for a in record.args)
        return True


_without_query = _WithoutQuery()


def _hide_queries() -> None:
    logging.getLogger("httpx").addFilter(_without_query)  # adding the same filter again changes nothing

"""Retries and deadlines for the sources that a library speaks to: the same rules as HttpSession has for the others."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.http import BACKOFF_S, MAX_BACKOFF_S, MAX_RETRY_AFTER_S, REFUSED, Network

T = TypeVar("T")
WORDS = 300  # of a server's own message


class Passing(Exception):
    """A failure that may pass. wait_s: how long the server wants to be left alone, if it said so."""

    def __init__(self, what: str, wait_s: float | None = None):
        super().__init__(what)
        self.wait_s = wait_s


def retried(where: str, options: Network, ask: Callable[[], T]) -> T:
    """What `ask` returns. A Passing failure is tried again options.retries times, after a random wait.

    Raises SourceError naming `where` (source and host, no secret) when it does not pass.
    """
    for attempt in range(options.retries + 1):
        try:
            return ask()
        except Passing as failure:
            wait = failure.wait_s
            if wait is None:
                wait = random.uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**attempt))
            if attempt == options.retries or wait > MAX_RETRY_AFTER_S:
                raise SourceError(f"{where}: {failure}, asked {attempt + 1} times.") from None
        time.sleep(wait)
    raise AssertionError  # the last attempt has returned or raised


def check_status(where: str, status: int, retry_after: str | None, content: bytes) -> None:
    """Raises SourceRefused for 400, 401, 403 and 404, Passing for 429 and all other failures."""
    if status < 400:
        return
    said = f"HTTP {status}{_message(content)}"
    if status in REFUSED:
        raise SourceRefused(f"{where}: {said}. Check symbol, permissions and url in instruments.yaml.")
    raise Passing(said, float(retry_after) if retry_after and retry_after.strip().isdigit() else None)


@cache
def deadline_session() -> Any:
    """A class of requests.Session whose answers must be complete `timeout` seconds after they were asked for, and
    that raises as check_status does. requests itself bounds each single read only.
    """
    import requests
    import urllib3

    class DeadlineSession(requests.Session):
        where = ""

        def send(self, request: Any, **kwargs: Any) -> Any:
            seconds = kwargs.get("timeout") or 30.0
            ends = time.monotonic() + seconds
            try:
                answer = super().send(request, **{**kwargs, "stream": True})
                parts = []
                # Not iter_content: it waits for whole blocks, and a server that lets drops out would hold it.
                while part := answer.raw.read1(64 * 1024, decode_content=True):
                    parts.append(part)
                    if time.monotonic() > ends:
                        raise Passing("no complete answer in time")
                # What requests itself does after reading a body to its end.
                answer._content, answer._content_consumed = b"".join(parts), True
            except (requests.Timeout, urllib3.exceptions.TimeoutError):
                raise Passing("no complete answer in time") from None
            except requests.ConnectionError as error:
                raise Passing(f"cannot connect, or the connection broke ({_cause(error)})") from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise Passing(f"the answer broke off ({type(error).__name__})") from None
            check_status(self.where, answer.status_code, answer.headers.get("retry-after"), answer.content)
            return answer

    return DeadlineSession


def _cause(error: BaseException) -> str:
    """The kind of the innermost error: messages of outer ones hold the whole URL."""
    while error.__context__ is not None:
        error = error.__context__
    return type(error).__name__


def _message(content: bytes) -> str:
    """A server's own words, where it sends any."""
    try:
        body = json.loads(content)
    except ValueError:
        return ""
    for key in ("chart", "error"):  # Yahoo's error lies two levels down
        body = body.get(key) or body if isinstance(body, dict) else body
    if isinstance(body, dict):
        body = next((body[k] for k in ("description", "errorMessage", "message", "msg") if body.get(k)), "")
    return f" ({body[:WORDS]})" if isinstance(body, str) and body else ""

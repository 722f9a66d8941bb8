"""Limits below ASGI, which uvicorn does not have: size and time of a request's head, and of a body nobody reads.

Costs nothing on a request whose head arrives at once; refusals read like all others: {"detail"}.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fx_serving.config import ServingConfig

_HEAD_BYTES = 32_768
_HEADERS = 100
# Of a body that was refused: read on for so long, so that a client that is still sending sees the answer.
_LEFTOVER_BYTES = 16 * 1024 * 1024
# A body sent in chunks of one byte each takes six times its length, and more with what else a chunk may say.
_CHUNKED = 8


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `bounded(config)` makes the class for a configuration."""

    patience_s: ClassVar[float] = 5.0
    certificates: ClassVar[bool] = False
    longest: ClassVar[int] = _LEFTOVER_BYTES

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._large = False  # whether this head may be too long: only then it is measured
        self._head_bytes = 0
        self._behind_head = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._reading: asyncio.TimerHandle | None = None  # set while the other side does not take its answers
        self._answering: Any = None
        self._refusal = (400, "request: not valid HTTP")
        self._certified = False

    def connection_made(self, transport: Any) -> None:
        """Somebody who says nothing is let go as after an answer."""
        super().connection_made(transport)
        self._certified = self.certificates and bool(transport.get_extra_info("peercert"))
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer outlives its connection."""
        self._disarm()
        self._stop_watching()
        if self._answering is not None:  # not always the newest request, which is told below
            self._answering.disconnected = True
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; then see whether a head has been left unfinished."""
        begun = self._in_head
        self._large = len(data) + self._head_bytes > _HEAD_BYTES
        super().data_received(data)
        if self._in_head:
            if begun:
                self._head_bytes += len(data)
                if self._head_bytes > _HEAD_BYTES:
                    return self._refuse(431, f"headers: longer than {_HEAD_BYTES} bytes")
            if self._timer is None and not self.transport.is_closing():
                self._timer = self.loop.call_later(self.patience_s, self._head_too_slow)
            return
        if begun:
            self._head_bytes = 0
        if self.cycle is not None and self.cycle.more_body:
            self._more(len(data))

    def _more(self, received: int) -> None:
        """A request that is not complete: chunks and what stands behind the last one count, too."""
        self._behind_head += received
        if self._behind_head > self.longest and self.cycle.response_complete:
            self.transport.close()
        elif self._behind_head > self.longest:
            self._refuse(413, f"request: longer than {self.longest} bytes")
        elif len(self.headers) > _HEADERS:
            self._refuse(431, f"trailers: more than {_HEADERS}")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        if self.certificates:
            self.scope["fx.certified"] = self._certified  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        if len(self.headers) > _HEADERS:
            self._refusal = (431, f"headers: more than {_HEADERS}")
            raise ValueError(self._refusal[1])
        if self._large and len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > _HEAD_BYTES:
            self._refusal = (431, f"headers: longer than {_HEAD_BYTES} bytes")
            raise ValueError(self._refusal[1])
        super().on_headers_complete()
        # What stands behind a chunked body looks like headers, comes when these are judged, and must not change them.
        self.headers = []
        self._behind_head = 0
        # Behind an offer of another protocol the parser reads no further request. And who waits for leave to send a
        # body, and is refused, may send it or not: what comes next could be either.
        offers = self.parser is not None and self.parser.should_upgrade()
        if self.cycle is not None and (offers or self.expect_100_continue):
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        if self._timer is not None:
            self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer to a body that has not come yet: the rest of it has so much time, and is thrown away."""
        super().on_response_complete()
        if self.cycle.more_body and self.cycle.response_complete and self._timer is None:
            self._timer = self.loop.call_later(self.patience_s, self.transport.close)

    def pause_writing(self) -> None:
        """The other side does not read: its answers wait in memory, and one of its requests in front of all others."""
        super().pause_writing()
        if self._reading is None:
            self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def _watch_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self.patience_s, self._look_at_reading)

    def _look_at_reading(self) -> None:
        """Slow is well; nothing at all is not."""
        self._reading = None
        if self.transport.get_write_buffer_size() < self._unread:
            self._watch_reading()
        else:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what its parser refuses, in this service's shape."""
        self._refuse(*self._refusal)

    def _head_too_slow(self) -> None:
        self._timer = None
        self._refuse(408, f"headers: not complete within {self.patience_s:g} s")

    def _refuse(self, status: int, detail: str) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        body = msgspec.json.encode({"detail": detail})
        head = (
            b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        )
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded(config: ServingConfig, base: type[BoundedProtocol] = BoundedProtocol) -> type[BoundedProtocol]:
    """The protocol class with the limits of a configuration; base: BoundedProtocol or a class derived from it."""
    limits = {
        "patience_s": config.limits.body_timeout_s,
        "certificates": bool(config.access.tls_client_ca),
        "longest": _CHUNKED * config.limits.body_bytes + _LEFTOVER_BYTES,
    }
    return type(base.__name__, (base,), limits)

"""GET /stream/predictions: every worker's answers as server-sent events, read from the prediction log.

One thread follows the log while anybody listens. A reader that is too slow loses events and is told how many: nothing
here can hold up an answer, nor the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from fx_serving.client.prediction_log import PredictionRecord, tail
from fx_serving.dataplane.errors import ApiError

log = logging.getLogger("fx_serving.stream")
WAITING = 1000
_QUIET_S = 10.0
_HIDDEN = frozenset({"features", "request_id", "key", "overridden", "latency_us", "version"})


class _Listener:
    """One reader: which predictions it wants, and those it has not been sent."""

    def __init__(self, model: str | None, instrument: str | None) -> None:
        self.model, self.instrument = model, instrument
        self.waiting: asyncio.Queue[PredictionRecord] = asyncio.Queue(WAITING)
        self.dropped = 0

    def offer(self, record: PredictionRecord) -> None:
        if self.model not in (None, record.model) or self.instrument not in (None, record.instrument):
            return
        try:
            self.waiting.put_nowait(record)
        except asyncio.QueueFull:
            self.dropped += 1


class PredictionStream:
    """The readers of one worker."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self.leaving: asyncio.Event | None = None
        self.listeners: set[_Listener] = set()
        self._stop: threading.Event | None = None

    def open(self, model: str | None, instrument: str | None) -> AsyncIterator[bytes]:
        """The events of one reader. Raises ApiError 429 where there are as many as allowed."""
        if len(self.listeners) >= self.most:
            raise ApiError(429, f"streams: {self.most} are open already (limits.streams). Close one.", "streams")
        return self._events(_Listener(model, instrument))

    async def _events(self, listener: _Listener) -> AsyncIterator[bytes]:
        # Only a reader whose answer has begun counts: one that left before would never be let go.
        self.listeners.add(listener)
        if self._stop is None:
            self._stop = threading.Event()
            arguments = (self._stop, asyncio.get_running_loop())
            threading.Thread(target=self._follow, args=arguments, name="prediction-stream", daemon=True).start()
        leaving = self.leaving or asyncio.Event()
        ended = asyncio.ensure_future(leaving.wait())
        try:
            yield b": predictions as they are logged\n\n"
            while not ended.done():
                arrived = asyncio.ensure_future(listener.waiting.get())
                await asyncio.wait({arrived, ended}, timeout=_QUIET_S, return_when=asyncio.FIRST_COMPLETED)
                if not arrived.done():
                    arrived.cancel()
                    if not ended.done():
                        yield b": still here\n\n"
                    continue
                yield _event(arrived.result())
                if listener.dropped:
                    dropped, listener.dropped = listener.dropped, 0
                    yield b'event: dropped\ndata: {"dropped":%d}\n\n' % dropped
        finally:
            ended.cancel()
            self.close(listener)

    def close(self, listener: _Listener) -> None:
        """Let a reader go; the last one ends the thread."""
        self.listeners.discard(listener)
        if not self.listeners and self._stop is not None:
            self._stop.set()
            self._stop = None

    def _follow(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            try:
                for record in tail(self.folder, stop):
                    loop.call_soon_threadsafe(self._offer, record)
            except OSError as error:
                log.warning("the stream of predictions ended: %s", error)

    def _offer(self, record: PredictionRecord) -> None:
        for listener in self.listeners:
            listener.offer(record)


def _event(record: PredictionRecord) -> bytes:
    content: dict[str, Any] = {
        name: value for name, value in msgspec.to_builtins(record).items() if name not in _HIDDEN and name != "kind"
    }
    content["model_version"] = record.version
    content["confidence"] = max(record.prediction, 1.0 - record.prediction)
    return b"event: prediction\nid: %s\ndata: %s\n\n" % (record.prediction_id.encode(), msgspec.json.encode(content))


class HasStream(Protocol):
    """What holds the stream of a running worker (a document can be built without one)."""

    stream: PredictionStream


def add_stream_route(app: FastAPI, holder: HasStream) -> None:
    """GET /stream/predictions."""

    @app.get(
        "/stream/predictions",
        tags=["predictions"],
        summary="Answers as they are given (server-sent events), without their features",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            429: {"description": "As many streams as allowed are open"},
        },
    )
    async def predictions(model: str | None = None, instrument: str | None = None) -> StreamingResponse:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(holder.stream.open(model, instrument), media_type="text/event-stream", headers=headers)

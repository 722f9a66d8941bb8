"""Files over HTTP, and the S3 server behind a door that can fail."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

import httpx
from fastapi import FastAPI, Response

from tests.servers.faults import FaultApp, Message, Receive, Send, serve
from tests.servers.s3 import s3_server


def files_app(files: Mapping[str, bytes]) -> FastAPI:
    """files: content by path. They may change while served."""
    app = FastAPI()

    @app.get("/{path:path}")
    def get(path: str) -> Response:
        if path not in files:
            return Response("no such file", status_code=404)
        return Response(files[path], media_type="application/octet-stream")

    return app


class Door:
    """An ASGI application that passes every request on to another server."""

    def __init__(self, url: str):
        self._client = httpx.AsyncClient(base_url=url, timeout=30)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        query = scope["query_string"]
        url = httpx.URL(path=scope["path"], query=query) if query else httpx.URL(path=scope["path"])
        answer = await self._client.request(scope["method"], url, headers=scope["headers"], content=body)
        kept = [
            (k, v) for k, v in answer.headers.raw if k.lower() not in (b"connection", b"transfer-encoding", b"date")
        ]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.content})


@contextlib.contextmanager
def s3_door() -> Iterator[tuple[Callable[[], str], FaultApp]]:
    """bucket() of s3_server, and the switch for its faults: while it runs, AWS_ENDPOINT_URL leads through the door."""
    with s3_server() as bucket:
        door = FaultApp(Door(os.environ["AWS_ENDPOINT_URL"]))
        with serve(door) as served, mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": served.url}):
            yield bucket, door

"""Reading a request's body within a size and a time, before an application sees it."""

from __future__ import annotations

import asyncio
from typing import Any


class BodyRefused(Exception):
    """The body is too long (413) or too slow (408)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


async def read_body(receive: Any, limit: int, timeout_s: float) -> bytes | None:
    """The whole body; None where the client left before it was complete. Raises BodyRefused."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise too_long(limit)
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise BodyRefused(408, f"body: not complete within {timeout_s:g} s. Send it at once.") from None


def too_long(limit: int) -> BodyRefused:
    """The refusal of a long body."""
    return BodyRefused(413, f"body: longer than {limit} bytes (limits.body_bytes). Send less at a time.")


def replay(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body in one message, then what the real one gives."""
    given = False

    async def receiving() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving

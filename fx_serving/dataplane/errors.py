"""What a request can be told instead of an answer."""

from __future__ import annotations

import msgspec


class ApiError(Exception):
    """An HTTP error with a detail that says what, where and what to do."""

    def __init__(self, status: int, detail: str, reason: str = "invalid") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason

    def body(self) -> bytes:
        """The JSON body."""
        return msgspec.json.encode({"detail": self.detail})

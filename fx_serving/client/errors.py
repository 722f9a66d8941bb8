"""What a call of the service can end with, other than an answer."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """The service answered with an error: `status` (HTTP), `detail` (its own words), `url`."""

    def __init__(self, status: int | None, detail: Any, url: str) -> None:
        super().__init__(f"{url}: {detail}" if status is None else f"{url}: HTTP {status}: {detail}")
        self.status = status
        self.detail = detail
        self.url = url


class ServiceUnreachable(ServiceError):
    """No answer from the service at all (status None). mends: whether one that is started would answer."""

    def __init__(self, url: str, cause: Exception, remedy: str | None = None) -> None:
        reason = (str(cause) or type(cause).__name__).removesuffix(".")
        told = remedy or "Start it: fx up, or fx serve."
        super().__init__(None, f"no answer from the prediction service ({reason}). {told}", url)
        self.mends = remedy is None


class RolloutTimeout(ServiceError):
    """A rollout had not finished when the caller's patience ended; `rollout` is its last known state."""

    def __init__(self, url: str, rollout: dict[str, Any] | None, timeout_s: float) -> None:
        state = rollout["state"] if rollout else "unknown"
        super().__init__(None, f"rollout still {state} after {timeout_s:g} s. It goes on: fx rollout status.", url)
        self.rollout = rollout

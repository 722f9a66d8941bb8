"""What concerns rollouts on the public port: handed on to the controller on loopback, in the name of who asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import httpx

from fx_serving.access.internal import bearer, read_internal_key
from fx_serving.dataplane.errors import ApiError


class ControllerLink:
    """Calls the controller at the address it last wrote, with the service's internal key."""

    def __init__(self, address: Path, key: Path | None = None) -> None:
        self.address = address
        self.key = key or address.with_name("internal.key")
        self._http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        actor: str = "local",
        correlation: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """(status, JSON body) of the controller's answer. Raises ApiError 503 while it is down.

        correlation: headers that say which run asks, and within which trace.
        """
        try:
            url = json.loads(self.address.read_bytes())["url"]
            headers = {"authorization": bearer(read_internal_key(self.key)), "x-fx-actor": actor, **(correlation or {})}
            if body is not None:
                headers["content-type"] = "application/json"
            answer = await self._http.request(method, url + path, content=body, headers=headers)
        except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
            raise _down(type(error).__name__) from None
        if answer.status_code == 401:  # it was started under another key, and is being replaced
            raise _down("wrong key")
        return answer.status_code, answer.content

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _down(why: str) -> ApiError:
    return ApiError(
        503,
        f"the rollout controller does not answer ({why}); it is restarted by itself. Predictions go on; ask again "
        "in a few seconds.",
        "controller_down",
    )

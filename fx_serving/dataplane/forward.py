"""/rollouts on the public port: handed on to the controller on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from fx_serving.dataplane.errors import ApiError


class ControllerLink:
    """Calls the controller at the address it last wrote."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """(status, JSON body) of the controller's answer. Raises ApiError 503 while it is down."""
        try:
            url = json.loads(self.address.read_bytes())["url"]
            headers = {"content-type": "application/json"} if body is not None else {}
            answer = await self._http.request(method, url + path, content=body, headers=headers)
        except (OSError, ValueError, KeyError, httpx.TransportError) as error:
            raise ApiError(
                503,
                "the rollout controller does not answer "
                f"({type(error).__name__}); it is restarted by itself. Predictions go on; ask again "
                "in a few seconds.",
                "controller_down",
            ) from None
        return answer.status_code, answer.content

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

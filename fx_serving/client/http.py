"""ServingClient: the service's HTTP interface as Python calls.

No formats, no retries beyond the one reset.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from fx_serving.client.clock import to_iso

FINISHED = frozenset({"succeeded", "rolled_back", "failed", "aborted"})
# A connection that was refused, reset or closed without an answer: the worker behind it was killed or
# restarted.
_RESETS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


class ServiceError(Exception):
    """The service answered with an error: `status` (HTTP), `detail` (its own words), `url`."""

    def __init__(self, status: int | None, detail: Any, url: str) -> None:
        super().__init__(f"{url}: {detail}" if status is None else f"{url}: HTTP {status}: {detail}")
        self.status = status
        self.detail = detail
        self.url = url


class ServiceUnreachable(ServiceError):
    """No answer from the service at all (status None)."""

    def __init__(self, url: str, cause: Exception) -> None:
        reason = str(cause) or type(cause).__name__
        super().__init__(None, f"no answer from the prediction service ({reason}). Start it: fx up, or fx serve.", url)


class RolloutTimeout(ServiceError):
    """A rollout had not finished when the caller's patience ended; `rollout` is its last known state."""

    def __init__(self, url: str, rollout: dict[str, Any] | None, timeout_s: float) -> None:
        state = rollout["state"] if rollout else "unknown"
        super().__init__(None, f"rollout still {state} after {timeout_s:g} s. It goes on: fx rollout status.", url)
        self.rollout = rollout


def _stamp(value: datetime | str | None) -> str | None:
    return to_iso(value) if isinstance(value, datetime) else value


class ServingClient:
    """A connection to one prediction service. Safe to keep; close it or use it as a context manager.

    A request whose connection is refused, reset or closed before the answer is sent again exactly once:
    predictions, feedback and rollout starts carry an id, so a repetition changes nothing. `resets` counts
    those raw resets. Errors: ServiceError (the service's answer), ServiceUnreachable (none).
    """

    def __init__(self, base_url: str, timeout_s: float = 10.0, token: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.resets = 0
        token = token or os.environ.get("FX_SERVING_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # trust_env=False: a proxy setting of the desk must not swallow calls to the own machine.
        self._http = httpx.Client(base_url=self.base_url, timeout=timeout_s, headers=headers, trust_env=False)

    def __enter__(self) -> ServingClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        instrument: str,
        timestamp: datetime | str | None = None,
        model: str | None = None,
        features: Mapping[str, float] | None = None,
        key: str | None = None,
        slot: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """One prediction.

        `slot` "blue" or "green" forces that slot; `timestamp` is aware or ISO with offset.
        """
        body = {
            "instrument": instrument,
            "timestamp": _stamp(timestamp),
            "model": model,
            "features": dict(features) if features else None,
            "key": key,
            "request_id": request_id or uuid.uuid4().hex,
        }
        path = f"/predict/{slot}" if slot else "/predict"
        return self._call("POST", path, {k: v for k, v in body.items() if v is not None})

    def feedback(
        self,
        prediction_id: str | None = None,
        *,
        instrument: str | None = None,
        timestamp: datetime | str | None = None,
        model: str | None = None,
        realized_direction: int | None = None,
        realized_value: float | None = None,
    ) -> dict[str, Any]:
        """Report what happened, for a prediction id, or for an instrument and time.

        Returns its feedback_id.
        """
        body = {
            "prediction_id": prediction_id,
            "instrument": instrument,
            "timestamp": _stamp(timestamp),
            "model": model,
            "realized_direction": realized_direction,
            "realized_value": realized_value,
        }
        return self._call("POST", "/feedback", {k: v for k, v in body.items() if v is not None})

    def health(self) -> dict[str, Any]:
        """Status and components."""
        return self._call("GET", "/health")

    def ready(self) -> bool:
        """Whether predictions can be answered; False for a 503, ServiceUnreachable if nobody listens."""
        try:
            self._call("GET", "/ready")
        except ServiceUnreachable:
            raise
        except ServiceError as error:
            if error.status == 503:
                return False
            raise
        return True

    def traffic(self) -> dict[str, Any]:
        """Which version gets which share, per model, and the counts so far."""
        return self._call("GET", "/traffic")

    def drift_status(self) -> dict[str, Any]:
        """The newest drift status per model."""
        return self._call("GET", "/drift/status")

    def start_rollout(self, model: str, version: str, policy: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Begin to roll out a version; returns the rollout (its `id`).

        409 if one is active for this model.
        """
        body: dict[str, Any] = {"model": model, "version": version, "request_id": uuid.uuid4().hex}
        if policy:
            body["policy"] = dict(policy)
        return self._call("POST", "/rollouts", body)

    def rollout(self, id: str) -> dict[str, Any]:
        """One rollout."""
        return self._call("GET", f"/rollouts/{id}")

    def rollouts(self) -> list[dict[str, Any]]:
        """All rollouts, newest first."""
        return self._call("GET", "/rollouts")["rollouts"]

    def abort_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Stop a rollout and put all traffic back on blue."""
        return self._call("POST", f"/rollouts/{id}/abort", {"reason": reason} if reason else {})

    def wait_rollout(
        self,
        id: str,
        timeout_s: float,
        on_change: Callable[[dict[str, Any]], None] | None = None,
        poll_s: float = 0.5,
    ) -> dict[str, Any]:
        """Poll until the rollout is finished; `on_change` sees every new state or weight. RolloutTimeout if
        too late.

        A controller that is restarting (503) or a service that cannot be reached is waited for.
        """
        deadline = time.monotonic() + timeout_s
        last: dict[str, Any] | None = None
        while True:
            try:
                found = self.rollout(id)
            except ServiceError as error:
                if error.status not in (None, 502, 503, 504):
                    raise
            else:
                if on_change and (last is None or (last["state"], last["weight"]) != (found["state"], found["weight"])):
                    on_change(found)
                last = found
                if found["state"] in FINISHED:
                    return found
            if time.monotonic() >= deadline:
                raise RolloutTimeout(f"{self.base_url}/rollouts/{id}", last, timeout_s)
            time.sleep(poll_s)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = self.base_url + path
        for attempt in (1, 2):
            try:
                answer = self._http.request(method, path, json=body)
                break
            except _RESETS as error:
                self.resets += 1
                if attempt == 2:
                    raise ServiceUnreachable(url, error) from error
            except httpx.TransportError as error:
                raise ServiceUnreachable(url, error) from error
        if answer.is_success:
            return answer.json()
        try:
            detail = answer.json().get("detail", answer.text)
        except (ValueError, AttributeError):
            detail = answer.text
        raise ServiceError(answer.status_code, detail, url)

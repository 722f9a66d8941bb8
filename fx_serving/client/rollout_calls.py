"""The calls of ServingClient about rollouts, traffic and the audit trail."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fx_serving.client.errors import RolloutTimeout, ServiceError
from fx_serving.client.patience import AWAY

FINISHED = frozenset({"succeeded", "rolled_back", "failed", "aborted", "superseded", "concluded"})
_SHOWN = ("state", "weight", "paused", "awaiting")


def query(path: str, **values: Any) -> str:
    """The path with those values that are given."""
    given = {name: value for name, value in values.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


class RolloutCalls(ABC):
    """What an operator asks for; the client that inherits it knows how to ask."""

    base_url: str

    @abstractmethod
    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, repeat: bool = True) -> Any:
        """The decoded answer of one request. repeat: whether it may be sent again after a reset."""

    def start_rollout(
        self,
        model: str,
        version: str,
        policy: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
        kind: str = "canary",
        dry_run: bool = False,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Ask for a version to be rolled out; returns the rollout (its `id`).

        The same request_id again returns the same rollout. `kind` "ab" is an experiment with a fixed split.
        """
        body: dict[str, Any] = {"model": model, "version": version, "request_id": request_id or uuid.uuid4().hex}
        if policy:
            body["policy"] = dict(policy)
        if kind != "canary":
            body["kind"] = kind
        if dry_run:
            body["dry_run"] = True
        return self._call("POST", "/rollouts", body | _why(reason))

    def rollout(self, id: str) -> dict[str, Any]:
        """One rollout."""
        return self._call("GET", _path(id))

    def rollouts(
        self, model: str | None = None, state: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rollouts, newest first."""
        return self._call("GET", query("/rollouts", model=model, state=state, limit=limit))["rollouts"]

    def pause_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Go no further; the traffic stays as it is."""
        return self._order(id, "pause", reason)

    def resume_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Go on with a paused rollout."""
        return self._order(id, "resume", reason)

    def approve_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Let the step that waits for an approval begin."""
        return self._order(id, "approve", reason)

    def promote_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Skip what is left of the steps: the candidate is deployed now."""
        return self._order(id, "promote", reason)

    def abort_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """Stop a rollout and put all traffic back on blue."""
        return self._order(id, "abort", reason)

    def rollback_rollout(self, id: str, reason: str | None = None) -> dict[str, Any]:
        """All traffic back to the version before, also after the rollout has ended."""
        return self._order(id, "rollback", reason)

    def restore(self, model: str, reason: str | None = None) -> dict[str, Any]:
        """The version that was blue before answers again; ServiceError 409 where it is no longer held ready.

        Not sent again after a reset: done twice it would undo itself.
        """
        return self._call("POST", f"/models/{quote(model, safe='')}/rollback", _why(reason), repeat=False)

    def set_traffic(self, model: str, blue: float, green: float, reason: str | None = None) -> dict[str, Any]:
        """Split the traffic by hand; the running rollout pauses. Returns the rollout."""
        return self._call("PUT", "/traffic", {"model": model, "blue": blue, "green": green} | _why(reason))

    def audit(
        self, after: int = 0, limit: int = 200, model: str | None = None, newest_first: bool = False
    ) -> list[dict[str, Any]]:
        """Records of the audit trail."""
        newest = "true" if newest_first else None
        path = query("/audit", after=after or None, limit=limit, model=model, newest_first=newest)
        return self._call("GET", path)["records"]

    def verify_audit(self) -> dict[str, Any]:
        """Whether the audit trail is whole; else the record and why."""
        return self._call("GET", "/audit/verify")

    def series(self, model: str, minutes: float = 5) -> dict[str, Any]:
        """The last minutes of a model, second by second."""
        return self._call("GET", query("/series", model=model, minutes=minutes))

    def wait_rollout(
        self,
        id: str,
        timeout_s: float,
        on_change: Callable[[dict[str, Any]], None] | None = None,
        poll_s: float = 0.5,
    ) -> dict[str, Any]:
        """Poll until the rollout is finished. RolloutTimeout if too late.

        `on_change` sees every new state or weight, and when it pauses or waits for somebody.
        A controller that is restarting (503) or a service that cannot be reached is waited for.
        """
        deadline = time.monotonic() + timeout_s
        last: dict[str, Any] | None = None
        while True:
            try:
                found = self.rollout(id)
            except ServiceError as error:
                if error.status not in AWAY:
                    raise
            else:
                if on_change and (last is None or any(last.get(n) != found.get(n) for n in _SHOWN)):
                    on_change(found)
                last = found
                if found["state"] in FINISHED:
                    return found
            if time.monotonic() >= deadline:
                raise RolloutTimeout(f"{self.base_url}{_path(id)}", last, timeout_s)
            time.sleep(poll_s)

    def _order(self, id: str, order: str, reason: str | None) -> dict[str, Any]:
        return self._call("POST", f"{_path(id)}/{order}", _why(reason))


def _path(id: str) -> str:
    return f"/rollouts/{quote(id, safe='')}"


def _why(reason: str | None) -> dict[str, Any]:
    return {"reason": reason} if reason else {}

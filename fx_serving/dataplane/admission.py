"""How many predictions a worker takes on at once. What is above the bound is refused before its body is looked at.

Blue is scored without waiting for anything, so that predictions queue up as tasks that have not begun: they are counted
where their last byte is read, not where they are handled. A body that is still on its way occupies nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from fx_serving.access.protocol import BoundedProtocol


class Gate:
    """The predictions of one worker that are complete and not answered; and whether the worker is leaving."""

    def __init__(self, max_concurrent: int) -> None:
        self.max_concurrent = max_concurrent
        self.inside = 0
        self.draining = False
        self._drained: asyncio.Event | None = None

    def enter(self, scope: Any) -> None:
        """Admit a request, or mark it as refused."""
        scope["fx.since"] = time.monotonic()
        if self.inside < self.max_concurrent:
            self.inside += 1
            scope["fx.admitted"] = True
        else:
            scope["fx.admitted"] = False

    def drain(self) -> None:
        """The worker is leaving: streams end, and every answer closes its connection."""
        self.draining = True
        self.leaving.set()

    @property
    def leaving(self) -> asyncio.Event:
        """Set when the worker begins to leave."""
        if self._drained is None:
            self._drained = asyncio.Event()
        return self._drained


class AdmissionProtocol(BoundedProtocol):
    """One connection, its predictions counted. `gate` is given by `admitting`."""

    gate: ClassVar[Gate]

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.gate.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        cycle = self.cycle
        if not cycle.response_complete and not any(waiting is cycle for waiting, _ in self.pipeline):
            self._enter(cycle)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if not cycle.more_body:  # sent behind another request, and complete before that one was answered
            self._enter(cycle)
        super()._start_asgi_task(cycle, app)

    def _enter(self, cycle: Any) -> None:
        scope = cycle.scope
        if scope["method"] == "POST" and is_hot(scope["path"]):
            self.gate.enter(scope)


def is_hot(path: str) -> bool:
    """Whether a POST to `path` asks for predictions."""
    return path.startswith("/predict") or (path.startswith("/v2/") and path.endswith("/infer"))


def admitting(gate: Gate, base: type[AdmissionProtocol] = AdmissionProtocol) -> type[AdmissionProtocol]:
    """The protocol class that counts at this gate."""
    return type(base.__name__, (base,), {"gate": gate})


class Admitted:
    """ASGI: whoever answers, a prediction that was admitted leaves again."""

    def __init__(self, app: Any, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope.get("fx.admitted"):
                self.gate.inside -= 1

"""The states of rollouts as spans: one for each state that a rollout has left, in the trace of whoever asked for it."""

from __future__ import annotations

from datetime import datetime

from fx_serving.client import tracing
from fx_serving.controller.rollout import Rollout


class RolloutSpans:
    """Remembers since when each rollout is in its state; nothing where tracing is off."""

    def __init__(self) -> None:
        self._asked: dict[str, str | None] = {}  # by whose trace
        self._since: dict[str, datetime] = {}

    def moved(self, before: Rollout | None, after: Rollout, now: datetime) -> None:
        """A rollout was begun or has changed."""
        if not tracing.on() or (before is not None and before.state == after.state):
            return
        if before is None:
            self._asked[after.id] = tracing.headers().get("traceparent")
        else:
            begun = self._since.get(after.id, before.created_at if before.state == "queued" else now)
            named = {"fx.rollout_id": after.id, "fx.model": after.model, "fx.version": after.version}
            parent = self._asked.get(after.id)
            tracing.past(f"rollout {before.state}", begun, now, parent, **named, **{"fx.next": after.state})
        self._since[after.id] = now
        if after.finished:
            self._since.pop(after.id)
            self._asked.pop(after.id, None)
